//! What is said of a reading.

use super::say::Reason;
use super::signal_kind::SignalKind;
use super::views::VIEWS;

/// What a score says and why.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Score {
    /// Decades of surprise; none while the score has no say.
    pub decades: Option<f64>,
    pub warming: bool,
    /// The score is above threshold and above the decayed recent peak.
    pub alarming: bool,
    /// Nothing unusual: far below the threshold, or a signal that stands still.
    pub calm: bool,
    pub threshold: f64,
    pub expected: f64,
    /// Half width of what 98 % of readings keep to.
    pub band: f64,
    /// Decades of each view, in the order of `VIEW_NAMES`.
    pub shares: [f32; VIEWS],
    /// Why the score is high, where that is not the views of the value.
    pub reason: Option<Reason>,
    pub kind: SignalKind,
}
