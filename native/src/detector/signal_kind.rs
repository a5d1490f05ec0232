//! The kinds of signals.

use crate::wire::{Reader, Wire, WireError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignalKind {
    #[default]
    Unknown,
    Constant,
    Levels,
    Counter,
    Continuous,
}

impl SignalKind {
    const ALL: [Self; 5] = [Self::Unknown, Self::Constant, Self::Levels, Self::Counter, Self::Continuous];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Constant => "constant",
            Self::Levels => "levels",
            Self::Counter => "counter",
            Self::Continuous => "continuous",
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let index = reader.u8()?;
        let kind = Self::ALL.get(usize::from(index)).copied();
        kind.ok_or_else(|| WireError::new(format!("a kind of signal {index}")))
    }
}
