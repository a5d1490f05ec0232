//! Bits of a stored reading's `flags`; `native.Flag` says what each means.

pub const LATE: u16 = 1;
pub const TEXT: u16 = 2;
pub const NON_FINITE: u16 = 4;
pub const BELOW_LOW: u16 = 8;
pub const ABOVE_HIGH: u16 = 16;
pub const ANOMALY: u16 = 32;
pub const WARMING: u16 = 64;
pub const OUT_OF_PHYSICAL_RANGE: u16 = 128;
pub const CONFLICT: u16 = 256;
pub const CLOCK: u16 = 512;
