//! The rows of one body: good ones with their texts, bad ones with their faults, and what any row must keep to.

use super::excerpt::excerpt;
use super::fault::Fault;
use super::json::StringToken;
use super::span::Span;
use crate::instant;
use crate::limits::{BODY_ROWS_MAX, DATA_BYTES_MAX, EXCERPT_BYTES_MAX, ID_BYTES_MAX};
use crate::printable::{escaped, first_control};

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

/// A good row on its way into a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub facility_id: &'a str,
    pub sensor_id: &'a str,
    pub tracked_at_us: i64,
    pub data: &'a str,
}

/// A bad row with as much of it as could be read.
#[derive(Debug)]
pub(crate) struct BadRow {
    pub row: u32,
    pub fault: Fault,
    pub facility_id: String,
    pub sensor_id: String,
    pub body: String,
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
    pub fn unescaped(&mut self, token: StringToken<'a>, field: &str) -> Result<Text<'a>, Fault> {
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
        no_nul(id, field)?;
        no_control(id, field)
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

    pub fn time(&self, text: Text<'a>, span: &Span) -> Result<i64, Fault> {
        let text = self.resolve(text);
        let us = instant::parse(text).map_err(|fault| {
            Fault::new("bad_time", format!("tracked_at {:?}: {fault}", excerpt(text.as_bytes(), 64)))
        })?;
        span.fault(us).map_or(Ok(us), Err)
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

fn no_control(text: &str, field: &str) -> Result<(), Fault> {
    match first_control(text) {
        None => Ok(()),
        Some(control) => Err(Fault::new(
            "control_character",
            format!("{field} holds the control character {}", escaped(control.encode_utf8(&mut [0; 4]))),
        )),
    }
}

fn no_nul(text: &str, field: &str) -> Result<(), Fault> {
    if text.as_bytes().contains(&0) {
        return Err(Fault::new("nul_character", format!("{field} holds a NUL character, which cannot be stored")));
    }
    Ok(())
}
