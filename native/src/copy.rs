//! What PostgreSQL sends for `COPY … TO STDOUT (FORMAT binary)`, as Arrow columns.
//!
//! The format is that of PostgreSQL's reference, "COPY, Binary Format": a signature, flags and an extension, then rows of
//! a field count and fields of a length and bytes, all big-endian; a count of -1 ends it. Bytes may be cut anywhere.

mod columns;
mod fault;
mod order;

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};

use columns::Column;
pub use columns::Kind;
pub use fault::CopyFault;
pub use order::Places;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = SIGNATURE.len() + 8;
const END: i16 = -1;
const NULL: i32 = -1;

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Header,
    Rows,
    Ended,
}

/// Takes bytes as they arrive and gives the rows that are whole as record batches.
pub struct CopyDecoder {
    schema: SchemaRef,
    columns: Vec<Column>,
    place: Place,
    /// Bytes of a header or row that is not whole yet.
    rest: Vec<u8>,
    rows: usize,
}

impl CopyDecoder {
    pub fn new(columns: &[(String, Kind)]) -> Self {
        let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            columns: columns.iter().map(|(_, kind)| Column::new(*kind)).collect(),
            place: Place::Header,
            rest: Vec::new(),
            rows: 0,
        }
    }

    /// Rows that the next `take` gives.
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn is_ended(&self) -> bool {
        self.place == Place::Ended
    }

    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), CopyFault> {
        if self.rest.is_empty() {
            let used = self.read(bytes)?;
            self.rest.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(bytes);
            let used = self.read(&joined)?;
            joined.drain(..used);
            self.rest = joined;
        }
        Ok(())
    }

    /// The whole rows since the last call, in order.
    pub fn take(&mut self) -> Result<RecordBatch, CopyFault> {
        self.rows = 0;
        let arrays = self.columns.iter_mut().map(Column::take).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|error| CopyFault::new(error.to_string()))
    }

    /// How many of these bytes were whole.
    fn read(&mut self, bytes: &[u8]) -> Result<usize, CopyFault> {
        let mut used = 0;
        if self.place == Place::Header {
            match header(bytes)? {
                Some(length) => used = length,
                None => return Ok(0),
            }
            self.place = Place::Rows;
        }
        while self.place == Place::Rows {
            let rest = bytes.get(used..).unwrap_or_default();
            let Some(length) = whole_row(rest, self.columns.len())? else { return Ok(used) };
            if length == 2 && !self.columns.is_empty() {
                self.place = Place::Ended;
            } else {
                self.push(rest)?;
            }
            used += length;
        }
        if used < bytes.len() {
            return Err(CopyFault::new(format!("{} bytes after the end", bytes.len() - used)));
        }
        Ok(used)
    }

    /// A row that `whole_row` has measured.
    fn push(&mut self, row: &[u8]) -> Result<(), CopyFault> {
        let mut rest = row.get(2..).unwrap_or_default();
        for (column, field) in self.columns.iter_mut().zip(self.schema.fields()) {
            let Some((length, after)) = rest.split_first_chunk::<4>() else { break };
            rest = after;
            let value = match usize::try_from(i32::from_be_bytes(*length)) {
                Ok(length) => {
                    let (value, after) = rest.split_at(length.min(rest.len()));
                    rest = after;
                    Some(value)
                }
                Err(_) => None,
            };
            if let Err(fault) = column.push(value) {
                return Err(CopyFault::new(format!("{}: {fault}", field.name())));
            }
        }
        self.rows += 1;
        Ok(())
    }
}

/// Its length; None when it is not whole yet.
fn header(bytes: &[u8]) -> Result<Option<usize>, CopyFault> {
    let seen = bytes.len().min(SIGNATURE.len());
    if bytes.get(..seen) != SIGNATURE.get(..seen) {
        return Err(CopyFault::new("it does not begin as a binary COPY does"));
    }
    let (Some(flags), Some(extension)) = (int32(bytes, SIGNATURE.len()), int32(bytes, SIGNATURE.len() + 4)) else {
        return Ok(None);
    };
    if flags != 0 {
        return Err(CopyFault::new(format!("flags {flags:#x} are not known")));
    }
    let extension = usize::try_from(extension).map_err(|_| CopyFault::new("a header of negative length"))?;
    Ok((bytes.len() >= HEADER + extension).then_some(HEADER + extension))
}

/// Its length, 2 for the end; None when it is not whole yet.
fn whole_row(bytes: &[u8], columns: usize) -> Result<Option<usize>, CopyFault> {
    let Some(count) = bytes.first_chunk::<2>().map(|two| i16::from_be_bytes(*two)) else { return Ok(None) };
    if count == END {
        return Ok(Some(2));
    }
    if usize::try_from(count) != Ok(columns) {
        return Err(CopyFault::new(format!("a row of {count} fields where {columns} were asked for")));
    }
    let mut rest = bytes.get(2..).unwrap_or_default();
    for _ in 0..columns {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*length);
        rest = match usize::try_from(length) {
            Ok(length) => match after.get(length..) {
                Some(after) => after,
                None => return Ok(None),
            },
            Err(_) if length == NULL => after,
            Err(_) => return Err(CopyFault::new(format!("a field of length {length}"))),
        };
    }
    Ok(Some(bytes.len() - rest.len()))
}

fn int32(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk::<4>().map(|four| i32::from_be_bytes(*four))
}

#[cfg(test)]
mod tests;
