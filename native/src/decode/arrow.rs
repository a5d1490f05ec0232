//! Arrow IPC streams to rows: columns facility_id, sensor_id, tracked_at, data; others are ignored.

use std::panic::{catch_unwind, AssertUnwindSafe};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Int8Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt16Type, UInt32Type, UInt64Type,
    UInt8Type,
};
use arrow_array::{Array, LargeStringArray, PrimitiveArray, RecordBatch, StringArray, StringViewArray};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::{DataType, TimeUnit};

use super::fault::Fault;
use super::rows::{GoodRow, Rows, Text};
use super::span::Span;
use crate::number::repr;

/// The continuation marker that begins a stream; no JSON text begins so, as it is not UTF-8.
const STREAM_MARK: [u8; 4] = [0xff; 4];
const FILE_MARK: &[u8] = b"ARROW1";

pub(crate) fn is_stream(body: &[u8]) -> bool {
    body.starts_with(&STREAM_MARK) || body.starts_with(FILE_MARK)
}

/// The Arrow reader checks what it reads, but bytes that nobody foresaw may still make it panic; that ends here.
pub(crate) fn read(body: &[u8], span: &Span, found: &mut Rows<'_>) -> Result<(), Fault> {
    if body.starts_with(FILE_MARK) {
        return Err(Fault::new("bad_arrow", "this is the Arrow file format; send the stream format"));
    }
    catch_unwind(AssertUnwindSafe(|| read_stream(body, span, found)))
        .unwrap_or_else(|_| Err(Fault::new("bad_arrow", "the stream contradicts itself")))
}

fn read_stream(body: &[u8], span: &Span, found: &mut Rows<'_>) -> Result<(), Fault> {
    let bad = |error: arrow_schema::ArrowError| Fault::new("bad_arrow", error.to_string());
    let mut decoder = StreamDecoder::new();
    let mut rest = Buffer::from(body);
    let mut row = 0;
    while !rest.is_empty() {
        let left = rest.len();
        if let Some(batch) = decoder.decode(&mut rest).map_err(bad)? {
            let columns = Columns::of(&batch)?;
            for index in 0..batch.num_rows() {
                read_row(&columns, index, row, span, found)?;
                row += 1;
            }
        } else if rest.len() == left {
            break;
        }
    }
    decoder.finish().map_err(bad)
}

/// Looks the row's four cells up, then judges them by the same rules as a JSON row.
fn read_row(columns: &Columns<'_>, index: usize, row: usize, span: &Span, found: &mut Rows<'_>) -> Result<(), Fault> {
    if let Some(fault) = found.full() {
        return Err(fault);
    }
    let facility_id = columns.facility_id.get(index).map(|id| found.keep(id));
    let sensor_id = columns.sensor_id.get(index).map(|id| found.keep(id));
    let judged = judge(columns, index, facility_id, sensor_id, span, found);
    match judged {
        Ok(good) => found.good.push(good),
        Err(fault) => {
            let shown = shown(columns, index, facility_id, sensor_id, found);
            found.refuse(row, fault, facility_id, sensor_id, &shown);
        }
    }
    Ok(())
}

fn judge<'a>(
    columns: &Columns<'_>,
    index: usize,
    facility_id: Option<Text<'a>>,
    sensor_id: Option<Text<'a>>,
    span: &Span,
    found: &mut Rows<'a>,
) -> Result<GoodRow<'a>, Fault> {
    let missing = |field: &str| Fault::new("missing_field", format!("{field} is null"));
    let facility_id = facility_id.ok_or_else(|| missing("facility_id"))?;
    found.id(facility_id, "facility_id")?;
    let sensor_id = sensor_id.ok_or_else(|| missing("sensor_id"))?;
    found.id(sensor_id, "sensor_id")?;
    let data = match &columns.data {
        Data::Texts(texts) => found.keep(texts.get(index).ok_or_else(|| missing("data"))?),
        Data::Numbers(numbers) => found.keep(&numbers.get(index).ok_or_else(|| missing("data"))??),
    };
    found.data(data)?;
    let tracked_at_us = match &columns.tracked_at {
        Times::Texts(texts) => {
            let text = found.keep(texts.get(index).ok_or_else(|| missing("tracked_at"))?);
            found.time(text, span)?
        }
        Times::Stamps(stamps) => {
            let us = stamps.get(index).ok_or_else(|| missing("tracked_at"))?;
            match us.map(|us| (us, span.fault(us))) {
                Some((us, None)) => us,
                Some((_, Some(fault))) => return Err(fault),
                None => return Err(Fault::new("time_out_of_range", "tracked_at does not fit into microseconds")),
            }
        }
    };
    Ok(GoodRow { facility_id, sensor_id, tracked_at_us, data })
}

/// A refused row as JSON, since its bytes do not stand together anywhere.
fn shown(
    columns: &Columns<'_>,
    index: usize,
    facility_id: Option<Text<'_>>,
    sensor_id: Option<Text<'_>>,
    found: &Rows<'_>,
) -> String {
    let data = match &columns.data {
        Data::Texts(texts) => texts.get(index).map(str::to_owned),
        Data::Numbers(numbers) => numbers.get(index).and_then(Result::ok),
    };
    let tracked_at = match &columns.tracked_at {
        Times::Texts(texts) => texts.get(index).map(str::to_owned),
        Times::Stamps(stamps) => stamps.get(index).flatten().map(crate::instant::text),
    };
    serde_json::json!({
        "facility_id": facility_id.map(|id| found.resolve(id)),
        "sensor_id": sensor_id.map(|id| found.resolve(id)),
        "tracked_at": tracked_at,
        "data": data,
    })
    .to_string()
}

struct Columns<'a> {
    facility_id: Texts<'a>,
    sensor_id: Texts<'a>,
    tracked_at: Times<'a>,
    data: Data<'a>,
}

enum Texts<'a> {
    Small(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
    Dictionary { entries: Vec<Option<usize>>, values: Box<Texts<'a>> },
}

enum Times<'a> {
    Texts(Texts<'a>),
    Stamps(Stamps<'a>),
}

enum Stamps<'a> {
    Second(&'a PrimitiveArray<TimestampSecondType>),
    Millisecond(&'a PrimitiveArray<TimestampMillisecondType>),
    Microsecond(&'a PrimitiveArray<TimestampMicrosecondType>),
    Nanosecond(&'a PrimitiveArray<TimestampNanosecondType>),
}

enum Data<'a> {
    Texts(Texts<'a>),
    Numbers(Numbers<'a>),
}

enum Numbers<'a> {
    Double(&'a PrimitiveArray<Float64Type>),
    Single(&'a PrimitiveArray<Float32Type>),
    Integer(Vec<Option<i128>>),
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, Fault> {
        let column = |name: &str| {
            let found = batch.column_by_name(name).map(|array| array.as_ref());
            found.ok_or_else(|| Fault::new("bad_arrow", format!("the column {name} is missing")))
        };
        let text = |name: &str| {
            let array = column(name)?;
            Texts::of(array).ok_or_else(|| wrong_column(name, array, "text"))
        };
        let (times, data) = (column("tracked_at")?, column("data")?);
        Ok(Self {
            facility_id: text("facility_id")?,
            sensor_id: text("sensor_id")?,
            tracked_at: Times::of(times).ok_or_else(|| wrong_column("tracked_at", times, "timestamp or text"))?,
            data: Data::of(data).ok_or_else(|| wrong_column("data", data, "text or number"))?,
        })
    }
}

fn wrong_column(name: &str, array: &dyn Array, wanted: &str) -> Fault {
    Fault::new("bad_arrow", format!("the column {name} is {}, not {wanted}", array.data_type()))
}

impl<'a> Texts<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Small(array.as_string_opt::<i32>()?),
            DataType::LargeUtf8 => Self::Large(array.as_string_opt::<i64>()?),
            DataType::Utf8View => Self::View(array.as_string_view_opt()?),
            DataType::Dictionary(_, values) if !matches!(**values, DataType::Dictionary(..)) => {
                let dictionary = array.as_any_dictionary_opt()?;
                let values = Self::of(dictionary.values().as_ref())?;
                let keys = dictionary.keys();
                let entries =
                    if dictionary.values().is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
                let entries =
                    entries.into_iter().enumerate().map(|(row, entry)| (!keys.is_null(row)).then_some(entry)).collect();
                Self::Dictionary { entries, values: Box::new(values) }
            }
            _ => return None,
        })
    }

    fn get(&self, index: usize) -> Option<&str> {
        match self {
            Self::Small(array) => (index < array.len() && array.is_valid(index)).then(|| array.value(index)),
            Self::Large(array) => (index < array.len() && array.is_valid(index)).then(|| array.value(index)),
            Self::View(array) => (index < array.len() && array.is_valid(index)).then(|| array.value(index)),
            Self::Dictionary { entries, values } => values.get((*entries.get(index)?)?),
        }
    }
}

impl<'a> Times<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        let DataType::Timestamp(unit, _) = array.data_type() else { return Texts::of(array).map(Self::Texts) };
        Some(Self::Stamps(match unit {
            TimeUnit::Second => Stamps::Second(array.as_primitive_opt()?),
            TimeUnit::Millisecond => Stamps::Millisecond(array.as_primitive_opt()?),
            TimeUnit::Microsecond => Stamps::Microsecond(array.as_primitive_opt()?),
            TimeUnit::Nanosecond => Stamps::Nanosecond(array.as_primitive_opt()?),
        }))
    }
}

impl Stamps<'_> {
    /// Microseconds; none for a null, and none inside for what does not fit.
    fn get(&self, index: usize) -> Option<Option<i64>> {
        fn cell<T: arrow_array::ArrowPrimitiveType<Native = i64>>(
            array: &PrimitiveArray<T>,
            index: usize,
        ) -> Option<i64> {
            array.is_valid(index).then(|| array.value(index))
        }
        match self {
            Self::Second(array) => cell(array, index).map(|value| value.checked_mul(1_000_000)),
            Self::Millisecond(array) => cell(array, index).map(|value| value.checked_mul(1_000)),
            Self::Microsecond(array) => cell(array, index).map(Some),
            Self::Nanosecond(array) => cell(array, index).map(|value| Some(value.div_euclid(1_000))),
        }
    }
}

impl<'a> Data<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        macro_rules! integers {
            ($kind:ty) => {
                Numbers::Integer(array.as_primitive_opt::<$kind>()?.iter().map(|cell| cell.map(i128::from)).collect())
            };
        }
        Some(Self::Numbers(match array.data_type() {
            DataType::Float64 => Numbers::Double(array.as_primitive_opt()?),
            DataType::Float32 => Numbers::Single(array.as_primitive_opt()?),
            DataType::Int8 => integers!(Int8Type),
            DataType::Int16 => integers!(Int16Type),
            DataType::Int32 => integers!(Int32Type),
            DataType::Int64 => integers!(Int64Type),
            DataType::UInt8 => integers!(UInt8Type),
            DataType::UInt16 => integers!(UInt16Type),
            DataType::UInt32 => integers!(UInt32Type),
            DataType::UInt64 => integers!(UInt64Type),
            _ => return Texts::of(array).map(Self::Texts),
        }))
    }
}

impl Numbers<'_> {
    /// The number's text: integers as they are, floats as Python's repr of them.
    fn get(&self, index: usize) -> Option<Result<String, Fault>> {
        let finite = |value: f64, text: fn(f64) -> String| {
            if value.is_finite() {
                Ok(text(value))
            } else {
                Err(Fault::new("not_finite", format!("data is {value}")))
            }
        };
        match self {
            Self::Double(array) => array.is_valid(index).then(|| finite(array.value(index), repr)),
            Self::Single(array) => array.is_valid(index).then(|| finite(f64::from(array.value(index)), single_repr)),
            Self::Integer(cells) => cells.get(index).copied().flatten().map(|value| Ok(value.to_string())),
        }
    }
}

/// The shortest decimal of a single precision number, in Python's spelling.
fn single_repr(value: f64) -> String {
    format!("{:e}", value as f32).parse().map_or_else(|_| String::new(), repr)
}
