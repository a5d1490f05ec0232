//! What is wrong with a COPY.

use std::fmt;

/// The bytes are not what was announced; nothing after them can be read.
#[derive(Debug, PartialEq, Eq)]
pub struct CopyFault(String);

impl CopyFault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for CopyFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
