//! The anomaly score of one sensor: views turn readings into residuals, a tail model each turns those into decades.
//!
//! One view a file, one list (`Views`). A view sees readings in order of event time, before anything has learned them.

pub(crate) mod combine;
#[cfg(test)]
mod contract;
mod counter;
mod course;
mod gap;
mod kinds;
mod levels;
mod memory;
mod observed;
mod prediction;
mod prototypes;
mod say;
mod score;
mod scorer;
mod shape;
mod shift;
mod signal;
mod signal_kind;
mod stuck;
pub(crate) mod tail;
mod time_of_day;
mod tuning;
mod unrest;
mod view;
mod views;
mod volatility;

pub use course::{Course, BANDS, BLOCKS, SCALES};
pub use gap::GAP_INTERVALS;
pub use say::Reason;
pub use score::Score;
pub use scorer::Scorer;
pub use signal_kind::SignalKind;
pub use tuning::Tuning;
pub use views::{VIEWS, VIEW_NAMES};
