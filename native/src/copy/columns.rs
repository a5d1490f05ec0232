//! One column while it is filled: fixed widths and text, each with its nulls.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, LargeStringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::ArrayRef;
use arrow_schema::{DataType, TimeUnit};

use super::fault::CopyFault;

/// PostgreSQL counts microseconds from the beginning of 2000, we from the beginning of 1970.
const EPOCH_US: i64 = 946_684_800_000_000;

/// What PostgreSQL calls smallint, integer, bigint, real, double precision, boolean, timestamptz and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Bool,
    Time,
    Text,
}

impl Kind {
    pub const ALL: [(&'static str, Kind); 8] = [
        ("int16", Kind::Int16),
        ("int32", Kind::Int32),
        ("int64", Kind::Int64),
        ("float32", Kind::Float32),
        ("float64", Kind::Float64),
        ("bool", Kind::Bool),
        ("time", Kind::Time),
        ("text", Kind::Text),
    ];

    pub(crate) fn data_type(self) -> DataType {
        match self {
            Kind::Int16 => DataType::Int16,
            Kind::Int32 => DataType::Int32,
            Kind::Int64 => DataType::Int64,
            Kind::Float32 => DataType::Float32,
            Kind::Float64 => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Kind::Text => DataType::LargeUtf8,
        }
    }
}

pub(super) enum Column {
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
    Text(LargeStringBuilder),
}

impl Column {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Int16 => Self::Int16(Int16Builder::new()),
            Kind::Int32 => Self::Int32(Int32Builder::new()),
            Kind::Int64 => Self::Int64(Int64Builder::new()),
            Kind::Float32 => Self::Float32(Float32Builder::new()),
            Kind::Float64 => Self::Float64(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_data_type(Kind::Time.data_type())),
            Kind::Text => Self::Text(LargeStringBuilder::new()),
        }
    }

    /// None is a null.
    #[inline]
    pub(super) fn push(&mut self, value: Option<&[u8]>) -> Result<(), CopyFault> {
        match self {
            Self::Int16(column) => column.append_option(exact(value)?.map(i16::from_be_bytes)),
            Self::Int32(column) => column.append_option(exact(value)?.map(i32::from_be_bytes)),
            Self::Int64(column) => column.append_option(exact(value)?.map(i64::from_be_bytes)),
            Self::Float32(column) => column.append_option(exact(value)?.map(f32::from_be_bytes)),
            Self::Float64(column) => column.append_option(exact(value)?.map(f64::from_be_bytes)),
            Self::Bool(column) => column.append_option(exact(value)?.map(|[byte]: [u8; 1]| byte != 0)),
            Self::Time(column) => column.append_option(exact(value)?.map(i64::from_be_bytes).map(moment).transpose()?),
            Self::Text(column) => column.append_option(value.map(text).transpose()?),
        }
        Ok(())
    }

    pub(super) fn take(&mut self) -> ArrayRef {
        match self {
            Self::Int16(column) => Arc::new(column.finish()),
            Self::Int32(column) => Arc::new(column.finish()),
            Self::Int64(column) => Arc::new(column.finish()),
            Self::Float32(column) => Arc::new(column.finish()),
            Self::Float64(column) => Arc::new(column.finish()),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(column.finish()),
        }
    }
}

#[inline]
fn exact<const N: usize>(value: Option<&[u8]>) -> Result<Option<[u8; N]>, CopyFault> {
    let Some(bytes) = value else { return Ok(None) };
    match bytes.try_into() {
        Ok(exact) => Ok(Some(exact)),
        Err(_) => Err(CopyFault::new(format!("{} bytes where {N} were asked for", bytes.len()))),
    }
}

fn moment(since_2000_us: i64) -> Result<i64, CopyFault> {
    match since_2000_us {
        i64::MIN | i64::MAX => Err(CopyFault::new("an infinite time")),
        finite => finite.checked_add(EPOCH_US).ok_or_else(|| CopyFault::new("a time beyond all years")),
    }
}

fn text(bytes: &[u8]) -> Result<&str, CopyFault> {
    std::str::from_utf8(bytes).map_err(|_| CopyFault::new("a text that is not UTF-8"))
}
