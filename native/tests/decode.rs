//! Every kind of body: where it ends and with what reason.

mod small_facility;

use std::sync::Arc;

use _native::batch::Batch;
use _native::decode::{decode, Decoded};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float32Array, Float64Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray, StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use small_facility::{cases, S, START_US};

const NOW_US: i64 = START_US + 3600 * S;
const FUTURE_US: i64 = 300 * S;

fn read(bodies: &[&[u8]]) -> Decoded {
    decode(bodies.iter().copied(), NOW_US, FUTURE_US)
}

fn one(body: &str) -> Decoded {
    read(&[body.as_bytes()])
}

/// facility, sensor, microseconds after the start, text
fn rows(decoded: &Decoded) -> Vec<(String, String, i64, String)> {
    let mut found = Vec::new();
    for facility in &decoded.facilities {
        let bytes = facility.builder.encode();
        let batch = Batch::read(&bytes).unwrap();
        for row in &batch.rows {
            let sensor = batch.sensor_id(row.sensor).to_owned();
            found.push((batch.facility_id.to_owned(), sensor, row.tracked_at_us - START_US, row.datum.text()));
        }
    }
    found
}

fn texts(decoded: &Decoded) -> Vec<String> {
    rows(decoded).into_iter().map(|row| row.3).collect()
}

fn reading(member: &str, value: &str) -> String {
    let mut members = [
        ("sensor_id", "\"s\"".to_owned()),
        ("facility_id", "\"f\"".to_owned()),
        ("tracked_at", "\"2026-01-01T00:00:00\"".to_owned()),
        ("data", "\"24.60\"".to_owned()),
    ];
    if let Some(found) = members.iter_mut().find(|(name, _)| *name == member) {
        found.1 = value.to_owned();
    }
    let members: Vec<_> = members
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn good() -> String {
    reading("", "")
}

/// The only refusal, as (row, reason).
fn refused(decoded: &Decoded) -> (Option<u32>, &'static str) {
    assert_eq!(decoded.refused.len(), 1, "{:?}", decoded.refused);
    (decoded.refused[0].row, decoded.refused[0].reason)
}

#[test]
fn bodies_that_are_refused_whole() {
    let quoted = |text: &str| format!("\"{text}\"");
    let long = "x".repeat(10_000);
    let bomb = "[".repeat(10_000);
    let object_bomb = "{\"a\":".repeat(10_000);
    let bomb_inside = reading("data", &"[".repeat(10_000));
    for (body, reason) in [
        (String::new(), "blank"),
        (" ".repeat(1 << 20), "blank"),
        ("\u{feff}\n\t ".into(), "blank"),
        ("hello".into(), "not_json"),
        ("{".into(), "not_json"),
        (good() + "x", "not_json"),
        (good() + &good(), "not_json"),
        (format!("[{},]", good()), "not_json"),
        (format!("[{}", good()), "not_json"),
        (format!("[{}] 1", good()), "not_json"),
        (reading("data", "NaN"), "not_json"),
        (reading("data", "Infinity"), "not_json"),
        (reading("data", "\"a\u{1}b\""), "not_json"),
        (reading("data", "\"\0\""), "not_json"),
        (reading("data", "\"\\x\""), "not_json"),
        (bomb, "too_deep"),
        (object_bomb, "too_deep"),
        (bomb_inside, "too_deep"),
        ("5".into(), "not_an_object"),
        ("\"text\"".into(), "not_an_object"),
        ("null".into(), "not_an_object"),
        ("[5]".into(), "not_an_object"),
        ("[]".into(), "empty"),
        ("{}".into(), "missing_field"),
        (reading("sensor_id", ""), "missing_field"),
        (reading("facility_id", ""), "missing_field"),
        (reading("tracked_at", ""), "missing_field"),
        (reading("data", ""), "missing_field"),
        (reading("sensor_id", "\"\""), "missing_field"),
        (reading("sensor_id", "5"), "wrong_type"),
        (reading("facility_id", "null"), "wrong_type"),
        (reading("tracked_at", "1767225600"), "wrong_type"),
        (reading("data", "null"), "wrong_type"),
        (reading("data", "true"), "wrong_type"),
        (reading("data", "{\"value\": 5}"), "wrong_type"),
        (reading("data", "[24.6]"), "wrong_type"),
        (reading("sensor_id", &quoted(&long)), "id_too_long"),
        (reading("facility_id", &quoted(&long)), "id_too_long"),
        (reading("data", &quoted(&long)), "data_too_long"),
        (reading("data", &"1".repeat(257)), "data_too_long"),
        (reading("sensor_id", "\"a\\u0000b\""), "nul_character"),
        (reading("facility_id", "\"\\u0000\""), "nul_character"),
        (reading("data", "\"\\u0000\""), "nul_character"),
        (reading("sensor_id", "\"a\\u001b[2J\""), "control_character"),
        (reading("facility_id", "\"\u{202e}a\""), "control_character"),
        (reading("sensor_id", "\"\\ud800\""), "not_utf8"),
        (reading("data", "\"\\ude00x\""), "not_utf8"),
        (reading("data", "1e999"), "not_finite"),
        (reading("data", "-1e999"), "not_finite"),
        (reading("tracked_at", "\"yesterday\""), "bad_time"),
        (reading("tracked_at", "\"2026-02-30T00:00:00\""), "bad_time"),
        (reading("tracked_at", "\"2026-01-01T00:00:60\""), "bad_time"),
        (reading("tracked_at", "\"0001-01-01T00:00:00\""), "time_out_of_range"),
        (reading("tracked_at", "\"9999-12-31T23:59:59\""), "time_out_of_range"),
        (reading("tracked_at", "\"1969-12-31T23:59:59\""), "time_out_of_range"),
        (reading("tracked_at", "\"2026-01-01T01:10:01\""), "future"),
        (reading("tracked_at", "\"2026-01-02T01:00:00\""), "future"),
    ] {
        let decoded = one(&body);
        assert_eq!(refused(&decoded), (None, reason), "{:.200}", body);
        assert!(decoded.facilities.is_empty());
        let refusal = &decoded.refused[0];
        assert!(!refusal.detail.is_empty() && refusal.detail.len() < 600, "{}", refusal.detail);
        for text in [&refusal.body, &refusal.facility_id, &refusal.sensor_id, &refusal.detail] {
            assert!(!text.contains('\0') && text.len() <= 4096);
        }
    }
}

#[test]
fn not_utf8_and_not_arrow() {
    assert_eq!(refused(&read(&[b"{\"data\": \"\xff\"}"])), (None, "not_utf8"));
    assert_eq!(refused(&read(&[b"\xff\xff\xff\xff"])), (None, "bad_arrow"));
    assert_eq!(refused(&read(&[b"\xff\xff\xff\xff\xff\xff\xff\x7f0000"])), (None, "bad_arrow"));
    assert_eq!(refused(&read(&[b"ARROW1\0\0"])), (None, "bad_arrow"));
}

#[test]
fn bodies_that_are_accepted() {
    for body in [
        good(),
        format!("\u{feff}{}", good()),
        format!(" \r\n{}\n\n", good()),
        format!("[{}]", good()),
        reading("data", "24.60"),
        reading("tracked_at", "\"2026-01-01 01:00:00+01:00\""),
        reading("tracked_at", "\"2025-12-31T23:59:60Z\""),
        reading("sensor_id", "\"\\u0073\""),
        good().replace("sensor_id", "\\u0073ensor_id"),
        good().replace('{', "{\"data\":\"1\",\"other\":{\"deep\":[1,{\"x\":null}]},\"\\n\":2,"),
    ] {
        let decoded = one(&body);
        assert_eq!(rows(&decoded), [("f".into(), "s".into(), 0, "24.60".into())], "{body} {:?}", decoded.refused);
        assert!(decoded.refused.is_empty());
    }
}

#[test]
fn data_comes_out_as_it_came_in() {
    for text in [
        "24.60",
        "+5",
        "1e3",
        "007",
        " 5 ",
        "NaN",
        "Infinity",
        "",
        "OPEN",
        "äöü😀",
        "1e300",
        "4.9e-324",
        "-0",
        "0.0",
        "1E5",
    ] {
        let body = reading("data", &serde_json::to_string(text).unwrap());
        assert_eq!(texts(&one(&body)), [text]);
    }
    assert_eq!(texts(&one(&reading("data", "1.50E+3"))), ["1.50E+3"], "a JSON number keeps its spelling");
    assert_eq!(texts(&one(&reading("data", "\"a\\tb\\u00e4\\ud83d\\ude00\""))), ["a\tbä😀"]);
    assert_eq!(texts(&one(&reading("data", &format!("\"{}\"", "7".repeat(256))))), ["7".repeat(256)]);
}

#[test]
fn future_is_measured_from_the_receipt() {
    let decoded = one(&reading("tracked_at", "\"2026-01-01T01:05:00\""));
    assert_eq!(texts(&decoded), ["24.60"]);
}

#[test]
fn one_bad_row_leaves_the_good_ones() {
    let bad = reading("data", "null");
    let body = format!("[{},{bad},7,{}]", good(), reading("data", "\"2\""));
    let decoded = read(&[b"{}", body.as_bytes()]);
    assert_eq!(texts(&decoded), ["24.60", "2"]);
    let told: Vec<_> = decoded.refused.iter().map(|refusal| (refusal.message, refusal.row, refusal.reason)).collect();
    assert_eq!(told, [(0, None, "missing_field"), (1, Some(1), "wrong_type"), (1, Some(2), "not_an_object")]);
    assert_eq!(decoded.refused[1].body, bad);
    assert_eq!((decoded.refused[1].facility_id.as_str(), decoded.refused[1].sensor_id.as_str()), ("f", "s"));
}

#[test]
fn a_body_of_bad_rows_is_one_refusal() {
    let body = format!("[{},{}]", reading("data", "null"), reading("tracked_at", "\"?\""));
    let decoded = one(&body);
    assert_eq!(refused(&decoded), (None, "wrong_type"));
    assert_eq!(decoded.refused[0].detail, "none of 2 rows is usable; row 0: data is null, not a string");
    assert_eq!(decoded.refused[0].body, body);
}

#[test]
fn lines_of_objects() {
    let lines = format!("{}\n\n{{broken\r\n{}\r\n[1]\n", good(), reading("data", "\"2\""));
    let decoded = one(&lines);
    assert_eq!(texts(&decoded), ["24.60", "2"]);
    let told: Vec<_> = decoded.refused.iter().map(|refusal| (refusal.row, refusal.reason)).collect();
    assert_eq!(told, [(Some(1), "not_json"), (Some(3), "not_an_object")]);
    let first_broken = format!("{{broken\n{}", good());
    assert_eq!(refused(&one(&first_broken)), (Some(0), "not_json"));
    let pretty_broken = "{\n  \"sensor_id\": \"s\",\n}";
    assert_eq!(refused(&one(pretty_broken)), (None, "not_json"));
    let pretty = good().replace(',', ",\n").replace('{', "{\n");
    assert_eq!(texts(&one(&pretty)), ["24.60"]);
}

#[test]
fn rows_are_grouped_by_facility_in_order_of_arrival() {
    let row = |facility: &str, sensor: &str| {
        reading("facility_id", &format!("\"{facility}\"")).replace("\"s\"", &format!("\"{sensor}\""))
    };
    let bodies = [row("f", "1"), format!("[{},{}]", row("g", "2"), row("f", "3")), "x".into(), row("g", "4")];
    let views: Vec<&[u8]> = bodies.iter().map(|body| body.as_bytes()).collect();
    let decoded = read(&views);
    let order: Vec<_> = rows(&decoded).into_iter().map(|row| row.0 + &row.1).collect();
    assert_eq!(order, ["f1", "f3", "g2", "g4"]);
    assert_eq!(decoded.facilities[0].messages, [0, 1]);
    assert_eq!(decoded.facilities[1].messages, [1, 3]);
}

#[test]
fn excerpts_are_cut_and_storable() {
    let body = reading("data", &format!("\"{}\\u0000\"", "ä".repeat(5000)));
    let refusal = &one(&body).refused[0];
    assert!(refusal.body.len() <= 4096 && refusal.body.len() > 4000);
    let nul = read(&[b"\0\0\0"]);
    assert_eq!(nul.refused[0].body, "\u{fffd}\u{fffd}\u{fffd}");
}

fn stream(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let fields: Vec<_> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).unwrap();
    writer.write(&batch).unwrap();
    writer.write(&batch.slice(0, 1)).unwrap();
    writer.into_inner().unwrap()
}

fn columns(times: ArrayRef, data: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let facilities: DictionaryArray<Int32Type> = vec!["f", "f"].into_iter().collect();
    vec![
        ("facility_id", Arc::new(facilities)),
        ("extra", Arc::new(Int64Array::from(vec![1, 2]))),
        ("sensor_id", Arc::new(LargeStringArray::from(vec!["a", "b"]))),
        ("tracked_at", times),
        ("data", data),
    ]
}

fn micros() -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![START_US, START_US + 5]))
}

#[test]
fn arrow_streams_of_every_accepted_kind() {
    let data: Vec<(ArrayRef, [&str; 2])> = vec![
        (Arc::new(StringArray::from(vec!["24.60", "on"])), ["24.60", "on"]),
        (
            Arc::new(StringViewArray::from(vec!["24.60", "a text longer than twelve"])),
            ["24.60", "a text longer than twelve"],
        ),
        (Arc::new(Float64Array::from(vec![24.6, 1e300])), ["24.6", "1e+300"]),
        (Arc::new(Float32Array::from(vec![24.6, 5.0])), ["24.6", "5.0"]),
        (Arc::new(Int64Array::from(vec![-7, i64::MAX])), ["-7", "9223372036854775807"]),
    ];
    for (array, expected) in data {
        let decoded = read(&[&stream(columns(micros(), array))]);
        assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
        assert_eq!(texts(&decoded), [expected[0], expected[1], expected[0]]);
    }
    let times: Vec<ArrayRef> = vec![
        Arc::new(TimestampSecondArray::from(vec![START_US / S; 2])),
        Arc::new(TimestampNanosecondArray::from(vec![START_US * 1000 + 999; 2]).with_timezone("Europe/Berlin")),
        Arc::new(StringArray::from(vec!["2026-01-01T00:00:00"; 2])),
    ];
    for array in times {
        let decoded = read(&[&stream(columns(array, Arc::new(StringArray::from(vec!["1", "2"]))))]);
        assert!(decoded.refused.is_empty(), "{:?}", decoded.refused);
        assert!(rows(&decoded).iter().all(|row| row.2 == 0));
    }
}

#[test]
fn arrow_rows_are_judged_one_by_one() {
    let data = Arc::new(Float64Array::from(vec![Some(1.5), Some(f64::NAN)]));
    let decoded = read(&[&stream(columns(micros(), data))]);
    assert_eq!(texts(&decoded), ["1.5", "1.5"]);
    assert_eq!(refused(&decoded), (Some(1), "not_finite"));
    assert_eq!(decoded.refused[0].sensor_id, "b");
    let late = Arc::new(TimestampSecondArray::from(vec![Some(i64::MAX), None]));
    let decoded = read(&[&stream(columns(late, Arc::new(StringArray::from(vec!["1", "2"]))))]);
    assert_eq!(refused(&decoded), (None, "time_out_of_range"));
    assert!(decoded.refused[0].detail.starts_with("none of 3 rows"));
    let nulls = Arc::new(StringArray::from(vec![None, Some("x\0")]));
    let decoded = read(&[&stream(columns(micros(), nulls))]);
    assert_eq!(refused(&decoded), (None, "missing_field"));
    assert!(decoded.refused[0].body.contains("\"sensor_id\":\"a\""), "{}", decoded.refused[0].body);
}

#[test]
fn arrow_streams_of_the_wrong_shape() {
    let mut missing = columns(micros(), micros());
    missing.remove(2);
    assert_eq!(refused(&read(&[&stream(missing)])), (None, "bad_arrow"));
    let wrong = read(&[&stream(columns(micros(), micros()))]);
    assert_eq!(refused(&wrong), (None, "bad_arrow"));
    let kind = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(wrong.refused[0].detail, format!("the column data is {kind}, not text or number"));
    let whole = stream(columns(micros(), Arc::new(StringArray::from(vec!["1", "2"]))));
    for length in [4, 8, 40, whole.len() / 2, whole.len() - 20] {
        assert_eq!(refused(&read(&[&whole[..length]])), (None, "bad_arrow"), "{length} bytes");
    }
}

#[test]
fn an_arrow_stream_without_rows_is_empty() {
    let empty: Vec<(&str, ArrayRef)> = columns(micros(), Arc::new(StringArray::from(vec!["1", "2"])))
        .into_iter()
        .map(|(name, array)| (name, array.slice(0, 0)))
        .collect();
    let fields: Vec<_> = empty.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let body = StreamWriter::try_new(Vec::new(), &schema).unwrap().into_inner().unwrap();
    assert_eq!(refused(&read(&[&body])), (None, "empty"));
}

#[test]
fn too_many_rows_are_refused() {
    let row = r#"{"sensor_id":"s","facility_id":"f","tracked_at":"2026-01-01T00:00:00","data":1}"#;
    let body = format!("[{}{row}]", format!("{row},").repeat(1_000_000));
    // larger than the largest body as well: the limit that comes first counts
    assert_eq!(refused(&one(&body)), (None, "too_large"));
    let short = format!("[{}1]", "1,".repeat(1_000_000));
    assert_eq!(refused(&one(&short)), (None, "too_large"));
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_bytes_end_somewhere(bodies in prop::collection::vec(any::<Vec<u8>>(), 0..6)) {
        let views: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
        let decoded = read(&views);
        prop_assert_eq!(decoded.facilities.len(), 0);
        prop_assert_eq!(decoded.refused.len(), bodies.len());
    }

    #[test]
    fn a_body_with_one_byte_changed_is_accounted_for(position: prop::sample::Index, byte: u8, shape in 0..3) {
        let mut body = match shape {
            0 => good(),
            1 => format!("[{},{}]", good(), good()),
            _ => format!("{}\n{}", good(), good()),
        }.into_bytes();
        let position = position.index(body.len());
        body[position] = byte;
        let decoded = read(&[&body]);
        prop_assert!(!decoded.facilities.is_empty() || decoded.refused.len() == 1);
    }

    #[test]
    fn a_damaged_arrow_stream_never_panics(position: prop::sample::Index, byte: u8, length: prop::sample::Index) {
        let mut body = stream(columns(micros(), Arc::new(StringArray::from(vec!["1.5", "2.5"]))));
        let at = position.index(body.len());
        body[at] = byte;
        read(&[&body]);
        body.truncate(length.index(body.len()));
        read(&[&body]);
    }

    #[test]
    fn a_row_comes_through_whatever_it_holds(facility in "\\PC{1,20}", sensor in "\\PC{1,20}", data in "\\PC{0,40}", us in 0..3_600_000_000i64) {
        let time = _native::instant::text(START_US + us);
        let body = serde_json::json!({"data": data, "facility_id": facility, "sensor_id": sensor, "tracked_at": time});
        prop_assert_eq!(rows(&one(&body.to_string())), [(facility, sensor, us, data)]);
    }
}
