//! A connection's messages while a COPY runs on it: rows are decoded where they lie, all else is left to whoever speaks
//! the protocol.
//!
//! A message is that of PostgreSQL's reference, "Message Formats": a letter, a length that counts itself, the rest.

use crate::copy::{CopyDecoder, CopyFault};

const COPY_DATA: u8 = b'd';
const HEAD: usize = 5;

pub struct CopyWire {
    pub decoder: CopyDecoder,
    /// Bytes of a message that is not whole yet.
    partial: Vec<u8>,
}

impl CopyWire {
    pub fn new(decoder: CopyDecoder) -> Self {
        Self { decoder, partial: Vec::new() }
    }

    /// Whether all rows were there and nothing is left over.
    pub fn is_ended(&self) -> bool {
        self.decoder.is_ended() && self.partial.is_empty()
    }

    /// Takes bytes cut anywhere; gives the whole messages that carry no rows.
    pub fn sift(&mut self, bytes: &[u8]) -> Result<Vec<u8>, CopyFault> {
        let mut others = Vec::new();
        let mut rest = bytes;
        while !self.partial.is_empty() {
            let lacking = length(&self.partial)? - self.partial.len();
            if lacking == 0 && self.partial.len() >= HEAD {
                let whole = std::mem::take(&mut self.partial);
                self.one(&whole, &mut others)?;
                break;
            }
            if rest.is_empty() {
                return Ok(others);
            }
            let (more, after) = rest.split_at(lacking.min(rest.len()));
            self.partial.extend_from_slice(more);
            rest = after;
        }
        while let Some((message, after)) = rest.split_at_checked(length(rest)?) {
            self.one(message, &mut others)?;
            rest = after;
        }
        self.partial.extend_from_slice(rest);
        Ok(others)
    }

    fn one(&mut self, message: &[u8], others: &mut Vec<u8>) -> Result<(), CopyFault> {
        match (message.first(), message.get(HEAD..)) {
            (Some(&COPY_DATA), Some(data)) => self.decoder.feed(data)?,
            _ => others.extend_from_slice(message),
        }
        Ok(())
    }
}

/// Of the message that begins here; of its head while that is not whole.
fn length(bytes: &[u8]) -> Result<usize, CopyFault> {
    let Some([_, length @ ..]) = bytes.first_chunk::<HEAD>() else { return Ok(HEAD) };
    let length = i32::from_be_bytes(*length);
    match usize::try_from(length) {
        Ok(length) if length >= HEAD - 1 => Ok(length + 1),
        _ => Err(CopyFault::new(format!("a message of length {length}"))),
    }
}
