//! The facility as a whole: do its sensors still move together as they always did?
//!
//! Work is done per tick, not per reading. At a tick each sensor's newest value becomes a robust z (`channel`); blocks of
//! up to 64 channels hold how these have moved together (`block`, `smoothed`) and say in decades how unusual now is.
//! The largest block's word is the facility's score, and its alarm follows the rules of every other alarm.

pub mod block;
mod channel;
mod matrix;
pub mod sample;
pub mod score;
mod scorer;
mod smoothed;
mod tick_clock;
mod told;

pub use score::{Contributor, FacilityScore};
pub use scorer::FacilityScorer;
pub use told::{PRIORITY, RULE};
