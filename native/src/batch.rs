//! Readings of one facility as bytes: what travels from reader to actor, lies in the commit log and is replayed.
//!
//! ```text
//! "GIB" version(1)  facility_id  received_at_us  rows
//! sensors: count, each: form of its name and the name's bytes; distinct, in order of first appearance
//!   0 text · 1 UUID in 16 bytes · 2 sensor_no, in the commit log, where the sensor is known
//! columns, each with its length in bytes:
//!   sensor   index, as zig-zag difference from "the one after the row before"
//!   time     tracked_at_us, as zig-zag difference from the row before
//!   code     0..=18: a decimal with that scale · 255: text
//!   value    zig-zag mantissa, or length and text
//! crc32 of everything before it, little endian
//! ```

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::number::{Datum, SCALE_MAX};
use crate::uuid;
use crate::wire::{put_bytes, put_signed, put_varint, Reader, Wire, WireError};

const MAGIC: [u8; 4] = *b"GIB\x01";
const NAME_TEXT: u8 = 0;
const NAME_UUID: u8 = 1;
const NAME_NUMBER: u8 = 2;
const CODE_TEXT: u8 = 255;

/// Collects rows in arrival order; `encode` gives the bytes.
#[derive(Debug)]
pub struct BatchBuilder {
    facility_id: Box<str>,
    received_at_us: i64,
    rows: u64,
    index_by_sensor: HashMap<Box<str>, i64, RandomState>,
    sensors: Vec<u8>,
    last_index: i64,
    last_time: i64,
    index_column: Vec<u8>,
    time_column: Vec<u8>,
    code_column: Vec<u8>,
    value_column: Vec<u8>,
}

impl BatchBuilder {
    pub fn new(facility_id: &str, received_at_us: i64) -> Self {
        Self {
            facility_id: facility_id.into(),
            received_at_us,
            rows: 0,
            index_by_sensor: HashMap::default(),
            sensors: Vec::new(),
            last_index: -1,
            last_time: 0,
            index_column: Vec::new(),
            time_column: Vec::new(),
            code_column: Vec::new(),
            value_column: Vec::new(),
        }
    }

    pub fn facility_id(&self) -> &str {
        &self.facility_id
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn push(&mut self, sensor_id: &str, tracked_at_us: i64, datum: Datum<'_>) {
        let index = self.sensor_index(sensor_id);
        put_signed(&mut self.index_column, index - (self.last_index + 1));
        put_signed(&mut self.time_column, tracked_at_us.wrapping_sub(self.last_time));
        match datum {
            Datum::Decimal { mantissa, scale } => {
                self.code_column.push(scale);
                put_signed(&mut self.value_column, mantissa);
            }
            Datum::Text(text) => self.push_text(text),
            Datum::Bits(_) => self.push_text(&datum.text()),
        }
        self.last_index = index;
        self.last_time = tracked_at_us;
        self.rows += 1;
    }

    fn push_text(&mut self, text: &str) {
        self.code_column.push(CODE_TEXT);
        put_bytes(&mut self.value_column, text.as_bytes());
    }

    fn sensor_index(&mut self, sensor_id: &str) -> i64 {
        if let Some(index) = self.index_by_sensor.get(sensor_id) {
            return *index;
        }
        let index = self.index_by_sensor.len() as i64;
        self.index_by_sensor.insert(sensor_id.into(), index);
        match uuid::to_bytes(sensor_id) {
            Some(raw) => {
                self.sensors.push(NAME_UUID);
                self.sensors.extend_from_slice(&raw);
            }
            None => {
                self.sensors.push(NAME_TEXT);
                put_bytes(&mut self.sensors, sensor_id.as_bytes());
            }
        }
        index
    }

    pub fn encode(&self) -> Vec<u8> {
        let columns = [&self.index_column, &self.time_column, &self.code_column, &self.value_column];
        let size: usize = columns.iter().map(|column| column.len()).sum();
        let mut out = Vec::with_capacity(size + self.sensors.len() + self.facility_id.len() + 64);
        out.extend_from_slice(&MAGIC);
        put_bytes(&mut out, self.facility_id.as_bytes());
        put_signed(&mut out, self.received_at_us);
        put_varint(&mut out, self.rows);
        put_varint(&mut out, self.index_by_sensor.len() as u64);
        out.extend_from_slice(&self.sensors);
        for column in columns {
            put_bytes(&mut out, column);
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

/// One reading of a batch; `sensor` is an index into the batch's sensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    pub sensor: u32,
    pub tracked_at_us: i64,
    pub datum: Datum<'a>,
}

/// A batch read back and checked as a whole, so that whoever uses it cannot fail halfway.
#[derive(Debug)]
pub struct Batch<'a> {
    pub facility_id: &'a str,
    pub received_at_us: i64,
    pub rows: Vec<Row<'a>>,
    sensors: Sensors,
}

/// The sensors of a batch: ids side by side, and the numbers of those that stand by number.
#[derive(Debug, Default)]
struct Sensors {
    ids: String,
    id_ends: Vec<u32>,
    numbers: Vec<Option<i32>>,
}

/// How a batch names a sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorName<'b> {
    Id(&'b str),
    Number(i32),
}

impl<'a> Batch<'a> {
    pub fn read(bytes: &'a [u8]) -> Wire<Self> {
        let mut reader = checked_body(bytes)?;
        let facility_id = reader.text()?;
        let received_at_us = reader.signed()?;
        let row_count = reader.count()?;
        let sensors = Sensors::read(&mut reader)?;
        let columns = Columns {
            index: Reader::new(reader.bytes()?),
            time: Reader::new(reader.bytes()?),
            code: Reader::new(reader.bytes()?),
            value: Reader::new(reader.bytes()?),
        };
        if !reader.is_empty() {
            return Err(WireError::new("a batch has bytes after its columns"));
        }
        let rows = columns.rows(row_count, sensors.numbers.len())?;
        Ok(Self { facility_id, received_at_us, rows, sensors })
    }

    pub fn sensor_count(&self) -> usize {
        self.sensors.numbers.len()
    }

    /// The id of a sensor by its index in the batch; empty if it stands by number.
    pub fn sensor_id(&self, index: u32) -> &str {
        let (index, ends) = (index as usize, &self.sensors.id_ends);
        let start = index.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| *end as usize);
        let end = ends.get(index).map_or(start, |end| *end as usize);
        self.sensors.ids.get(start..end).unwrap_or("")
    }

    pub fn sensor_name(&self, index: u32) -> SensorName<'_> {
        match self.sensors.numbers.get(index as usize).copied().flatten() {
            Some(number) => SensorName::Number(number),
            None => SensorName::Id(self.sensor_id(index)),
        }
    }
}

/// The same batch with known sensors by number, as the commit log keeps it: `numbers` has one entry for each sensor.
pub fn with_numbers(bytes: &[u8], numbers: &[Option<i32>]) -> Wire<Vec<u8>> {
    let mut reader = checked_body(bytes)?;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&MAGIC);
    put_bytes(&mut out, reader.bytes()?);
    put_signed(&mut out, reader.signed()?);
    put_varint(&mut out, reader.varint()?);
    let count = reader.count()?;
    put_varint(&mut out, count as u64);
    for index in 0..count {
        let (form, raw) = read_sensor(&mut reader)?;
        match numbers.get(index).copied().flatten() {
            Some(number) => {
                out.push(NAME_NUMBER);
                put_signed(&mut out, i64::from(number));
            }
            None => {
                out.push(form);
                out.extend_from_slice(raw);
            }
        }
    }
    out.extend_from_slice(reader.take(reader.remaining())?);
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(out)
}

/// Facility, number of rows and received_at_us, without reading the rows.
pub fn info(bytes: &[u8]) -> Wire<(&str, u64, i64)> {
    let mut reader = checked_body(bytes)?;
    let facility_id = reader.text()?;
    let received_at_us = reader.signed()?;
    Ok((facility_id, reader.varint()?, received_at_us))
}

fn checked_body(bytes: &[u8]) -> Wire<Reader<'_>> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| WireError::new("a batch is too short"))?;
    let mut reader = Reader::new(body);
    let magic = reader.take(MAGIC.len())?;
    if magic != MAGIC {
        return Err(WireError::new(format!("this is not a batch of version 1: it begins with {magic:02x?}")));
    }
    let (found, stated) = (crc32fast::hash(body), u32::from_le_bytes(*crc));
    if found != stated {
        return Err(WireError::new(format!(
            "a batch of {} bytes is damaged: crc {found:08x}, stated {stated:08x}",
            bytes.len()
        )));
    }
    Ok(reader)
}

/// The form of a sensor's name and its bytes, length included, as they stand.
fn read_sensor<'a>(reader: &mut Reader<'a>) -> Wire<(u8, &'a [u8])> {
    let form = reader.u8()?;
    let mut start = *reader;
    match form {
        NAME_TEXT => reader.bytes().map(|_| ())?,
        NAME_UUID => reader.take(16).map(|_| ())?,
        NAME_NUMBER => reader.signed().map(|_| ())?,
        other => return Err(WireError::new(format!("a sensor's name of form {other}"))),
    }
    Ok((form, start.take(start.remaining() - reader.remaining())?))
}

impl Sensors {
    fn read(reader: &mut Reader<'_>) -> Wire<Self> {
        let count = reader.count()?;
        let mut sensors = Self { ids: String::with_capacity(count * 36), ..Self::default() };
        for _ in 0..count {
            let (form, raw) = read_sensor(reader)?;
            let mut raw = Reader::new(raw);
            let mut number = None;
            match form {
                NAME_TEXT => sensors.ids.push_str(raw.text()?),
                NAME_UUID => uuid::write(raw.take(16)?, &mut sensors.ids),
                _ => number = Some(raw.signed()?),
            }
            let number = number.map(i32::try_from).transpose();
            sensors.numbers.push(number.map_err(|_| WireError::new("a sensor number does not fit"))?);
            let end = u32::try_from(sensors.ids.len());
            sensors.id_ends.push(end.map_err(|_| WireError::new("the sensor ids take more than 4 GiB"))?);
        }
        Ok(sensors)
    }
}

struct Columns<'a> {
    index: Reader<'a>,
    time: Reader<'a>,
    code: Reader<'a>,
    value: Reader<'a>,
}

impl<'a> Columns<'a> {
    fn rows(mut self, row_count: usize, sensor_count: usize) -> Wire<Vec<Row<'a>>> {
        if row_count != self.code.remaining() {
            return Err(WireError::new(format!("{row_count} rows with {} values", self.code.remaining())));
        }
        let mut rows = Vec::with_capacity(row_count);
        let (mut index, mut time) = (-1i64, 0i64);
        for _ in 0..row_count {
            index = index.wrapping_add(1).wrapping_add(self.index.signed()?);
            let sensor = u32::try_from(index).ok().filter(|sensor| (*sensor as usize) < sensor_count);
            let sensor = sensor.ok_or_else(|| WireError::new(format!("sensor {index} of {sensor_count}")))?;
            time = time.wrapping_add(self.time.signed()?);
            let datum = match self.code.u8()? {
                CODE_TEXT => Datum::Text(self.value.text()?),
                scale if scale <= SCALE_MAX => Datum::Decimal { mantissa: self.value.signed()?, scale },
                other => return Err(WireError::new(format!("a value of code {other}"))),
            };
            rows.push(Row { sensor, tracked_at_us: time, datum });
        }
        if self.index.is_empty() && self.time.is_empty() && self.value.is_empty() {
            Ok(rows)
        } else {
            Err(WireError::new("a column has bytes after its last row"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(rows: &[(String, i64, String)]) -> Vec<u8> {
        let mut builder = BatchBuilder::new("plant", 42);
        for (sensor, time, text) in rows {
            builder.push(sensor, *time, Datum::of(text));
        }
        builder.encode()
    }

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn rows_come_back(rows in prop::collection::vec(("[a-c]|\\PC{0,8}", any::<i64>(), "[0-9.]{1,8}|\\PC{0,8}"), 0..40)) {
            let bytes = encode(&rows);
            let batch = Batch::read(&bytes).unwrap();
            prop_assert_eq!((batch.facility_id, batch.received_at_us), ("plant", 42));
            let back: Vec<_> = batch.rows.iter()
                .map(|row| (batch.sensor_id(row.sensor).to_owned(), row.tracked_at_us, row.datum.text()))
                .collect();
            prop_assert_eq!(back, rows);
        }

        #[test]
        fn a_damaged_batch_is_refused(position in 0usize..200, flip in 1u8..) {
            let mut bytes = encode(&[("a".into(), 5, "24.60".into()), ("b".into(), 6, "on".into())]);
            let position = position % bytes.len();
            bytes[position] ^= flip;
            prop_assert!(Batch::read(&bytes).is_err());
        }

        #[test]
        fn arbitrary_columns_with_a_right_crc_never_panic(tail: Vec<u8>) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(tail);
            let crc = crc32fast::hash(&bytes);
            bytes.extend(crc.to_le_bytes());
            let _ = Batch::read(&bytes);
            let _ = info(&bytes);
        }
    }

    #[test]
    fn known_sensors_may_stand_by_number() {
        let id = "7f3c9a52-0b1e-4c55-9d0a-2f1f6f1f2a01";
        let rows: Vec<_> = [id, "other", id, "b"].iter().map(|id| (id.to_string(), 5, "24.60".to_owned())).collect();
        let bytes = encode(&rows);
        let short = with_numbers(&bytes, &[Some(-7), None, Some(i32::MAX)]).unwrap();
        let (whole, batch) = (Batch::read(&bytes).unwrap(), Batch::read(&short).unwrap());
        assert_eq!(batch.rows, whole.rows);
        let names: Vec<_> = (0..3).map(|index| batch.sensor_name(index)).collect();
        assert_eq!(names, [SensorName::Number(-7), SensorName::Id("other"), SensorName::Number(i32::MAX)]);
        assert_eq!(with_numbers(&bytes, &[None; 3]).unwrap(), bytes);
        assert_eq!(with_numbers(&short, &[None; 3]).unwrap(), short);
    }

    #[test]
    fn a_uuid_takes_sixteen_bytes_and_any_other_spelling_stays_text() {
        for id in [
            "7f3c9a52-0b1e-4c55-9d0a-2f1f6f1f2a01",
            "7F3C9A52-0B1E-4C55-9D0A-2F1F6F1F2A01",
            "7f3c9a52-0b1e-4c55-9d0a-2f1f6f1f2a0g",
        ] {
            let bytes = encode(&[(id.into(), 0, "1.5".into())]);
            let batch = Batch::read(&bytes).unwrap();
            assert_eq!(batch.sensor_id(0), id);
        }
    }
}
