//! JSON bodies to rows: one object, an array, or an object a line; each row is judged by itself.

use super::excerpt::excerpt;
use super::fault::Fault;
use super::json::{Scanner, Token};
use super::rows::{GoodRow, Rows, Text};
use super::span::Span;

pub(crate) fn read<'a>(body: &'a [u8], span: &Span, found: &mut Rows<'a>) -> Result<(), Fault> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body)
        .map_err(|error| Fault::new("not_utf8", format!("byte {} is not UTF-8", error.valid_up_to())))?;
    match Scanner::new(text).peek() {
        None => Err(Fault::new("blank", format!("{} bytes without content", text.len()))),
        Some(b'[') => read_array(text, span, found),
        Some(b'{') => read_objects(text, span, found),
        Some(_) => {
            let mut scanner = Scanner::new(text);
            scanner.skip_value()?;
            match scanner.peek() {
                None => Err(Fault::new("not_an_object", "the body is a bare value")),
                Some(_) => Err(scanner.wrong("the end")),
            }
        }
    }
}

fn read_array<'a>(text: &'a str, span: &Span, found: &mut Rows<'a>) -> Result<(), Fault> {
    let mut scanner = Scanner::new(text);
    scanner.expect(b'[')?;
    if !scanner.take(b']') {
        for row in 0.. {
            read_row(&mut scanner, row, span, found)?;
            if !scanner.take(b',') {
                break;
            }
        }
        scanner.expect(b']')?;
    }
    match scanner.peek() {
        None => Ok(()),
        Some(_) => Err(scanner.wrong("the end")),
    }
}

/// One object, or NDJSON. In NDJSON a line that is not JSON is a bad row; if no line is JSON the body is not.
fn read_objects<'a>(text: &'a str, span: &Span, found: &mut Rows<'a>) -> Result<(), Fault> {
    let mut scanner = Scanner::new(text);
    let single = read_row(&mut scanner, 0, span, found).and_then(|()| match scanner.peek() {
        None => Ok(()),
        Some(_) => Err(scanner.wrong("the end")),
    });
    let Err(fault) = single else { return Ok(()) };
    if !text.trim_end().contains('\n') {
        return Err(fault);
    }
    *found = Rows::default();
    let mut json_lines = 0;
    for (row, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        let mut scanner = Scanner::new(line);
        let before = (found.good.len(), found.bad.len());
        let read = read_row(&mut scanner, row, span, found).and_then(|()| match scanner.peek() {
            None => Ok(()),
            Some(_) => Err(scanner.wrong("the end of the line")),
        });
        match read {
            Ok(()) => json_lines += 1,
            Err(fault) if fault.reason == "too_large" => return Err(fault),
            Err(fault) => {
                found.good.truncate(before.0);
                found.bad.truncate(before.1);
                found.refuse(row, fault, None, None, line);
            }
        }
    }
    if json_lines == 0 {
        return Err(fault);
    }
    Ok(())
}

/// The four fields of a reading as they stand; of a name that stands twice the last one counts.
#[derive(Default)]
struct Fields<'a> {
    facility_id: Option<Token<'a>>,
    sensor_id: Option<Token<'a>>,
    tracked_at: Option<Token<'a>>,
    data: Option<Token<'a>>,
}

/// Read the next value as a row, good or bad; a fault means that the syntax is broken.
fn read_row<'a>(scanner: &mut Scanner<'a>, row: usize, span: &Span, found: &mut Rows<'a>) -> Result<(), Fault> {
    if let Some(fault) = found.full() {
        return Err(fault);
    }
    if scanner.peek() != Some(b'{') {
        let start = scanner.position();
        scanner.skip_value()?;
        let body = scanner.slice(start, scanner.position());
        found.refuse(row, Fault::new("not_an_object", "the row is not an object"), None, None, body);
        return Ok(());
    }
    let start = scanner.position();
    let fields = read_fields(scanner)?;
    let body = scanner.slice(start, scanner.position());
    judge(&fields, row, body, span, found);
    Ok(())
}

fn read_fields<'a>(scanner: &mut Scanner<'a>) -> Result<Fields<'a>, Fault> {
    let mut fields = Fields::default();
    scanner.expect(b'{')?;
    if scanner.take(b'}') {
        return Ok(fields);
    }
    loop {
        let name = scanner.key()?;
        let value = scanner.value()?;
        if name.is("facility_id") {
            fields.facility_id = Some(value);
        } else if name.is("sensor_id") {
            fields.sensor_id = Some(value);
        } else if name.is("tracked_at") {
            fields.tracked_at = Some(value);
        } else if name.is("data") {
            fields.data = Some(value);
        }
        if !scanner.take(b',') {
            scanner.expect(b'}')?;
            return Ok(fields);
        }
    }
}

fn judge<'a>(fields: &Fields<'a>, row: usize, body: &str, span: &Span, found: &mut Rows<'a>) {
    let facility_id = string_field(fields.facility_id, "facility_id", found);
    let sensor_id = string_field(fields.sensor_id, "sensor_id", found);
    let judged = judge_fields(&facility_id, &sensor_id, fields, span, found);
    match judged {
        Ok(good) => found.good.push(good),
        Err(fault) => found.refuse(row, fault, facility_id.ok(), sensor_id.ok(), body),
    }
}

fn judge_fields<'a>(
    facility_id: &Result<Text<'a>, Fault>,
    sensor_id: &Result<Text<'a>, Fault>,
    fields: &Fields<'a>,
    span: &Span,
    found: &mut Rows<'a>,
) -> Result<GoodRow<'a>, Fault> {
    let facility_id = facility_id.clone()?;
    found.id(facility_id, "facility_id")?;
    let sensor_id = sensor_id.clone()?;
    found.id(sensor_id, "sensor_id")?;
    let tracked_at = string_field(fields.tracked_at, "tracked_at", found)?;
    let data = match fields.data {
        Some(Token::Number(digits)) => {
            if !digits.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(Fault::new(
                    "not_finite",
                    format!("data {} is too large for a number", excerpt(digits.as_bytes(), 64)),
                ));
            }
            Text::Body(digits)
        }
        other => string_field(other, "data", found)?,
    };
    found.data(data)?;
    let tracked_at_us = found.time(tracked_at, span)?;
    Ok(GoodRow { facility_id, sensor_id, tracked_at_us, data })
}

#[inline]
fn string_field<'a>(token: Option<Token<'a>>, field: &str, found: &mut Rows<'a>) -> Result<Text<'a>, Fault> {
    let kind = match token {
        None => return Err(Fault::new("missing_field", format!("{field} is missing"))),
        Some(Token::String(token)) => return found.unescaped(token, field),
        Some(Token::Number(_)) => "a number",
        Some(Token::Other(kind)) => kind,
    };
    Err(Fault::new("wrong_type", format!("{field} is {kind}, not a string")))
}
