use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, TimestampMicrosecondType};
use arrow_array::Array;
use proptest::prelude::*;

use super::{CopyDecoder, Kind, Places};
use crate::copy_wire::CopyWire;

type Row = (i32, Option<i64>, Option<f64>, Option<String>, i16);

fn columns() -> Vec<(String, Kind)> {
    [("no", Kind::Int32), ("at", Kind::Time), ("value", Kind::Float64), ("text", Kind::Text), ("flags", Kind::Int16)]
        .map(|(name, kind)| (name.to_owned(), kind))
        .to_vec()
}

fn field(bytes: &mut Vec<u8>, value: Option<&[u8]>) {
    bytes.extend(value.map_or(-1, |value| i32::try_from(value.len()).unwrap()).to_be_bytes());
    bytes.extend(value.unwrap_or_default());
}

fn copied(rows: &[Row]) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for (no, at, value, text, flags) in rows {
        bytes.extend(5_i16.to_be_bytes());
        field(&mut bytes, Some(&no.to_be_bytes()));
        field(&mut bytes, at.map(|at| (at - 946_684_800_000_000).to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice));
        field(&mut bytes, value.map(f64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        field(&mut bytes, text.as_ref().map(String::as_bytes));
        field(&mut bytes, Some(&flags.to_be_bytes()));
    }
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}

fn decoded(decoder: &mut CopyDecoder) -> Vec<Row> {
    let batch = decoder.take().unwrap();
    let no = batch.column(0).as_primitive::<Int32Type>();
    let at = batch.column(1).as_primitive::<TimestampMicrosecondType>();
    let value = batch.column(2).as_primitive::<Float64Type>();
    let text = batch.column(3).as_string::<i64>();
    let flags = batch.column(4).as_primitive::<Int16Type>();
    (0..batch.num_rows())
        .map(|row| {
            (
                no.value(row),
                at.is_valid(row).then(|| at.value(row)),
                value.is_valid(row).then(|| value.value(row)),
                text.is_valid(row).then(|| text.value(row).to_owned()),
                flags.value(row),
            )
        })
        .collect()
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        any::<i32>(),
        proptest::option::of(0..4_000_000_000_000_000_i64),
        any::<Option<i32>>(),
        any::<Option<String>>(),
        any::<i16>(),
    );
    proptest::collection::vec(
        row.prop_map(|(no, at, value, text, flags)| (no, at, value.map(f64::from), text, flags)),
        0..30,
    )
}

proptest! {
    #[test]
    fn what_was_sent_is_read_wherever_it_is_cut(rows in rows(), sizes in proptest::collection::vec(1..90_usize, 1..9)) {
        let bytes = copied(&rows);
        let mut decoder = CopyDecoder::new(&columns());
        let (mut found, mut at) = (Vec::new(), 0);
        for size in sizes.iter().cycle() {
            if at == bytes.len() {
                break;
            }
            let end = bytes.len().min(at + size);
            decoder.feed(&bytes[at..end]).unwrap();
            if size % 2 == 0 {
                found.extend(decoded(&mut decoder));
            }
            at = end;
        }
        found.extend(decoded(&mut decoder));
        prop_assert!(decoder.is_ended());
        prop_assert_eq!(found, rows);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), has_header in any::<bool>()) {
        if has_header {
            bytes.splice(0..0, copied(&[])[..19].to_vec());
        }
        let mut decoder = CopyDecoder::new(&columns());
        let _ = decoder.feed(&bytes);
        let _ = decoder.take();
    }
}

fn message(letter: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![letter];
    bytes.extend(i32::try_from(content.len() + 4).unwrap().to_be_bytes());
    bytes.extend(content);
    bytes
}

proptest! {
    #[test]
    fn rows_are_sifted_from_what_else_is_said_wherever_it_is_cut(
        rows in rows(), sizes in proptest::collection::vec(1..40_usize, 1..9), of_a_message in 1..50_usize,
        words in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let others = [message(b'H', &words), message(b'N', b""), message(b'c', b""), message(b'Z', b"T")];
        let mut bytes = others[..2].concat();
        for part in copied(&rows).chunks(of_a_message) {
            bytes.extend(message(b'd', part));
        }
        bytes.extend(others[2..].concat());
        let mut wire = CopyWire::new(CopyDecoder::new(&columns()));
        let (mut said, mut at) = (Vec::new(), 0);
        for size in sizes.iter().cycle() {
            if at == bytes.len() {
                break;
            }
            let end = bytes.len().min(at + size);
            said.extend(wire.sift(&bytes[at..end]).unwrap());
            at = end;
        }
        prop_assert!(wire.is_ended());
        prop_assert_eq!(said, others.concat());
        prop_assert_eq!(decoded(&mut wire.decoder), rows);
        wire.sift(b"Z").unwrap();
        prop_assert!(!wire.is_ended());
    }

    #[test]
    fn no_messages_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut wire = CopyWire::new(CopyDecoder::new(&columns()));
        let _ = wire.sift(&bytes);
    }
}

#[test]
fn a_message_shorter_than_its_length_is_refused() {
    let sift = |length: i32| {
        let mut bytes = b"N".to_vec();
        bytes.extend(length.to_be_bytes());
        CopyWire::new(CopyDecoder::new(&columns())).sift(&bytes)
    };
    assert_eq!(sift(4).unwrap(), b"N\0\0\0\x04");
    assert_eq!(sift(3).unwrap_err().to_string(), "a message of length 3");
    assert_eq!(sift(-1).unwrap_err().to_string(), "a message of length -1");
}

fn fault(bytes: &[u8]) -> String {
    CopyDecoder::new(&columns()).feed(bytes).unwrap_err().to_string()
}

#[test]
fn what_was_not_announced_is_refused_with_its_reason() {
    let good = copied(&[(1, Some(0), None, None, 0)]);
    assert_eq!(fault(b"PGCOPY\n\xff\r\r\0"), "it does not begin as a binary COPY does");
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        fault(&bytes)
    };
    assert_eq!(with(14, 1), "flags 0x1 are not known");
    assert_eq!(with(15, 0xff), "a header of negative length");
    assert_eq!(with(20, 4), "a row of 4 fields where 5 were asked for");
    assert_eq!(with(21, 0x80), "a field of length -2147483644");
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(fault(&longer), "1 bytes after the end");
    let mut narrow = copied(&[])[..19].to_vec();
    narrow.extend(5_i16.to_be_bytes());
    for _ in 0..5 {
        field(&mut narrow, Some(&[0, 0]));
    }
    assert_eq!(fault(&narrow), "no: 2 bytes where 4 were asked for");
}

#[test]
fn a_time_without_end_and_a_text_that_is_none_are_told_with_their_column() {
    let row = |kind: Kind, value: &[u8]| {
        let mut bytes = copied(&[])[..19].to_vec();
        bytes.extend(1_i16.to_be_bytes());
        field(&mut bytes, Some(value));
        CopyDecoder::new(&[("it".to_owned(), kind)]).feed(&bytes).unwrap_err().to_string()
    };
    assert_eq!(row(Kind::Time, &i64::MAX.to_be_bytes()), "it: an infinite time");
    assert_eq!(row(Kind::Time, &i64::MIN.to_be_bytes()), "it: an infinite time");
    assert_eq!(row(Kind::Time, &(i64::MAX - 1).to_be_bytes()), "it: a time beyond all years");
    assert_eq!(row(Kind::Text, b"\xff"), "it: a text that is not UTF-8");
}

const DAY_US: i64 = 86_400_000_000;

fn places() -> Places {
    let ids = |ids: [&str; 3]| ids.map(str::to_owned);
    Places::new(&[30, 10, 20], &ids(["north", "north", "south"]), &ids(["a", "an id that is a long one", "ß"])).unwrap()
}

fn batch(rows: &[Row]) -> arrow_array::RecordBatch {
    let mut decoder = CopyDecoder::new(&columns());
    decoder.feed(&copied(rows)).unwrap();
    decoder.take().unwrap()
}

proptest! {
    #[test]
    fn readings_come_by_day_place_and_time_each_with_all_that_is_its_own(
        rows in proptest::collection::vec((0..3_i32, -3..3_i64, 0..4_i64, any::<Option<i16>>(), any::<Option<String>>(), any::<i16>()), 0..40),
    ) {
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|(no, day, time, value, text, flags)| {
                (10 * (no + 1), Some(day * DAY_US + time), value.map(f64::from), text, flags)
            })
            .collect();
        let found = places().in_order(&batch(&rows)).unwrap();
        let mut expected = rows;
        let place = |no: i32| [30, 10, 20].iter().position(|each| *each == no).unwrap();
        expected.sort_by_key(|row| (row.1.unwrap().div_euclid(DAY_US), place(row.0), row.1));
        let text = |column: usize, row: usize| found.column(column).as_string_view().value(row).to_owned();
        let rest = found.project(&[2, 3, 4, 5]).unwrap();
        let at = |row: usize| rest.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
        let value = rest.column(1).as_primitive::<Float64Type>();
        let words = rest.column(2).as_string::<i64>();
        let flags = rest.column(3).as_primitive::<Int16Type>();
        prop_assert_eq!(found.num_rows(), expected.len());
        for (row, each) in expected.into_iter().enumerate() {
            let ids = [("north", "a"), ("north", "an id that is a long one"), ("south", "ß")][place(each.0)];
            prop_assert_eq!((text(0, row), text(1, row)), (ids.0.to_owned(), ids.1.to_owned()));
            let is_there = value.is_valid(row).then(|| value.value(row));
            let said = words.is_valid(row).then(|| words.value(row).to_owned());
            prop_assert_eq!((Some(at(row)), is_there, said, flags.value(row)), (each.1, each.2, each.3, each.4));
        }
    }
}

#[test]
fn a_reading_that_nobody_asked_for_and_one_without_a_time_are_refused() {
    let fault = |row: Row| places().in_order(&batch(&[row])).unwrap_err().to_string();
    assert_eq!(fault((7, Some(0), None, None, 0)), "a reading of sensor number 7, which was not asked for");
    let expected = "a sensor's number and a time come first, and neither is null";
    assert_eq!(fault((10, None, None, None, 0)), expected);
    let mut other = CopyDecoder::new(&[("at".to_owned(), Kind::Time)]);
    assert_eq!(places().in_order(&other.take().unwrap()).unwrap_err().to_string(), expected);
    assert!(Places::new(&[1], &[], &[]).is_err());
}
