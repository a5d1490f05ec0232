//! What speaks besides the views: how strange a reading is, and why.

/// Why a score is high, where it is not the views'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Stuck,
    RareMove,
    LongDwell,
    ShortDwell,
    CounterReset,
    /// The views', of a counter's rate.
    CounterRate,
    /// A score, never an alarm: silence is the stale alarm's.
    Gap,
}

impl Reason {
    pub const ALL: [Self; 7] = [
        Self::Stuck,
        Self::RareMove,
        Self::LongDwell,
        Self::ShortDwell,
        Self::CounterReset,
        Self::CounterRate,
        Self::Gap,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Stuck => "stuck",
            Self::RareMove => "rare_move",
            Self::LongDwell => "long_dwell",
            Self::ShortDwell => "short_dwell",
            Self::CounterReset => "counter_reset",
            Self::CounterRate => "counter_rate",
            Self::Gap => "gap",
        }
    }
}

/// How strange a reading is, as a share of what the budget of false alarms asks for: from 1 on it speaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Say {
    pub share: f32,
    pub reason: Reason,
}
