//! What a channel says at a tick.

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    pub value: f64,
    /// The sensor's own score.
    pub decades: f32,
}
