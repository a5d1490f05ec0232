//! The native core of GasInSight.
