//! JSON bodies to rows: one object, an array, or an object a line; each row is judged by itself.

use super::json::{Scanner, StringToken, Token};
use super::{excerpt, BadRow, Fault, Limits, Reading};
use crate::instant;
use crate::limits::{BODY_ROWS_MAX, DATA_BYTES_MAX, EXCERPT_BYTES_MAX, ID_BYTES_MAX};

/// A text of a row: borrowed from the body, or a span of the arena when it had to be unescaped or made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text<'a> {
    Body(&'a str),
    Arena(usize, usize),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct GoodRow<'a> {
    pub facility_id: Text<'a>,
    pub sensor_id: Text<'a>,
    pub tracked_at_us: i64,
    pub data: Text<'a>,
}

/// Everything one body gave. Nothing of it counts until the whole body has been read.
#[derive(Debug, Default)]
pub(crate) struct Rows<'a> {
    pub good: Vec<GoodRow<'a>>,
    pub bad: Vec<BadRow>,
    arena: String,
}

impl<'a> Rows<'a> {
    pub fn reading(&self, index: usize) -> Option<Reading<'_>> {
        let row = self.good.get(index)?;
        Some(Reading {
            facility_id: self.resolve(row.facility_id),
            sensor_id: self.resolve(row.sensor_id),
            tracked_at_us: row.tracked_at_us,
            data: self.resolve(row.data),
        })
    }

    #[inline]
    pub fn resolve<'s>(&'s self, text: Text<'a>) -> &'s str {
        match text {
            Text::Body(text) => text,
            Text::Arena(start, end) => self.arena.get(start..end).unwrap_or(""),
        }
    }

    pub fn keep(&mut self, text: &str) -> Text<'a> {
        let start = self.arena.len();
        self.arena.push_str(text);
        Text::Arena(start, self.arena.len())
    }

    /// The token's text, unescaped; a fault when it is not Unicode.
    #[inline]
    fn unescaped(&mut self, token: StringToken<'a>, field: &str) -> Result<Text<'a>, Fault> {
        if !token.escaped {
            return Ok(Text::Body(token.raw));
        }
        let start = self.arena.len();
        if !token.unescape_into(&mut self.arena) {
            self.arena.truncate(start);
            return Err(Fault::new("not_utf8", format!("{field} holds half a surrogate pair")));
        }
        Ok(Text::Arena(start, self.arena.len()))
    }

    pub fn id(&self, text: Text<'a>, field: &str) -> Result<(), Fault> {
        let id = self.resolve(text);
        if id.is_empty() {
            return Err(Fault::new("missing_field", format!("{field} is empty")));
        }
        if id.len() > ID_BYTES_MAX {
            return Err(Fault::new(
                "id_too_long",
                format!("{field} takes {} bytes, {ID_BYTES_MAX} are the most", id.len()),
            ));
        }
        no_nul(id, field)
    }

    pub fn data(&self, text: Text<'a>) -> Result<(), Fault> {
        let data = self.resolve(text);
        if data.len() > DATA_BYTES_MAX {
            return Err(Fault::new(
                "data_too_long",
                format!("data takes {} bytes, {DATA_BYTES_MAX} are the most", data.len()),
            ));
        }
        no_nul(data, "data")
    }

    pub fn time(&self, text: Text<'a>, limits: &Limits) -> Result<i64, Fault> {
        let text = self.resolve(text);
        let us = instant::parse(text).map_err(|fault| {
            Fault::new("bad_time", format!("tracked_at {:?}: {fault}", excerpt(text.as_bytes(), 64)))
        })?;
        limits.time_fault(us).map_or(Ok(us), Err)
    }

    pub fn refuse(
        &mut self,
        row: usize,
        fault: Fault,
        facility_id: Option<Text<'a>>,
        sensor_id: Option<Text<'a>>,
        body: &str,
    ) {
        let shown =
            |id: Option<Text<'a>>| id.map_or_else(String::new, |id| excerpt(self.resolve(id).as_bytes(), ID_BYTES_MAX));
        let (facility_id, sensor_id) = (shown(facility_id), shown(sensor_id));
        let body = excerpt(body.as_bytes(), EXCERPT_BYTES_MAX);
        self.bad.push(BadRow { row: row as u32, fault, facility_id, sensor_id, body });
    }

    pub fn full(&self) -> Option<Fault> {
        (self.good.len() + self.bad.len() >= BODY_ROWS_MAX)
            .then(|| Fault::new("too_large", format!("more than {BODY_ROWS_MAX} rows in one body")))
    }
}

fn no_nul(text: &str, field: &str) -> Result<(), Fault> {
    if text.as_bytes().contains(&0) {
        return Err(Fault::new("nul_character", format!("{field} holds a NUL character, which cannot be stored")));
    }
    Ok(())
}

pub(crate) fn read_json<'a>(body: &'a [u8], limits: &Limits, found: &mut Rows<'a>) -> Result<(), Fault> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body)
        .map_err(|error| Fault::new("not_utf8", format!("byte {} is not UTF-8", error.valid_up_to())))?;
    match Scanner::new(text).peek() {
        None => Err(Fault::new("blank", format!("{} bytes without content", text.len()))),
        Some(b'[') => read_array(text, limits, found),
        Some(b'{') => read_objects(text, limits, found),
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

fn read_array<'a>(text: &'a str, limits: &Limits, found: &mut Rows<'a>) -> Result<(), Fault> {
    let mut scanner = Scanner::new(text);
    scanner.expect(b'[')?;
    if !scanner.take(b']') {
        for row in 0.. {
            read_row(&mut scanner, row, limits, found)?;
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
fn read_objects<'a>(text: &'a str, limits: &Limits, found: &mut Rows<'a>) -> Result<(), Fault> {
    let mut scanner = Scanner::new(text);
    let single = read_row(&mut scanner, 0, limits, found).and_then(|()| match scanner.peek() {
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
        let read = read_row(&mut scanner, row, limits, found).and_then(|()| match scanner.peek() {
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
fn read_row<'a>(scanner: &mut Scanner<'a>, row: usize, limits: &Limits, found: &mut Rows<'a>) -> Result<(), Fault> {
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
    judge(&fields, row, body, limits, found);
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

fn judge<'a>(fields: &Fields<'a>, row: usize, body: &str, limits: &Limits, found: &mut Rows<'a>) {
    let facility_id = string_field(fields.facility_id, "facility_id", found);
    let sensor_id = string_field(fields.sensor_id, "sensor_id", found);
    let judged = judge_fields(&facility_id, &sensor_id, fields, limits, found);
    match judged {
        Ok(good) => found.good.push(good),
        Err(fault) => found.refuse(row, fault, facility_id.ok(), sensor_id.ok(), body),
    }
}

fn judge_fields<'a>(
    facility_id: &Result<Text<'a>, Fault>,
    sensor_id: &Result<Text<'a>, Fault>,
    fields: &Fields<'a>,
    limits: &Limits,
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
    let tracked_at_us = found.time(tracked_at, limits)?;
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
