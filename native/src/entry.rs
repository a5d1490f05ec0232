//! The entries of the commit log: the four things that may change a facility.

use crate::config::PayloadError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Batch,
    Config,
    Tick,
    Command,
}

impl EntryKind {
    pub fn read(name: &str) -> Result<Self, PayloadError> {
        match name {
            "batch" => Ok(Self::Batch),
            "config" => Ok(Self::Config),
            "tick" => Ok(Self::Tick),
            "command" => Ok(Self::Command),
            other => Err(PayloadError(format!("unknown kind {other:?}; batch, config, tick and command are known"))),
        }
    }
}
