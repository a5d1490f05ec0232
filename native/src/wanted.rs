//! What people set of a sensor's rules, as a configuration says it and a snapshot keeps it; `rule_set` makes rules of it.

use serde::Deserialize;

use crate::spelling::NumberFormat;
use crate::wire::{put_bool, put_bytes, put_f64, put_varint, Reader, Wire};

/// What is set of one rule; what is absent is as the profile or the type has it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    pub rule: String,
    pub enabled: Option<bool>,
    pub limit: Option<f64>,
    pub priority: Option<String>,
    pub deadband: Option<f64>,
    pub on_delay_s: Option<f64>,
    pub off_delay_s: Option<f64>,
    pub latched: Option<bool>,
    pub re_alarm_s: Option<f64>,
    pub window_s: Option<f64>,
    pub source: Option<String>,
    pub message: Option<String>,
    pub consequence: Option<String>,
    pub response: Option<String>,
}

/// What is set of a sensor.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    pub profile: Option<String>,
    /// The unit of its readings, where it is not the type's; texts may have it behind the number.
    #[serde(default)]
    pub unit: Option<String>,
    /// How texts write numbers.
    #[serde(default)]
    pub number_format: NumberFormat,
    #[serde(default)]
    pub rules: Vec<Change>,
}

impl Change {
    fn save(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.rule.as_bytes());
        for said in [self.enabled, self.latched] {
            out.push(said.map_or(2, u8::from));
        }
        let Self { limit, deadband, on_delay_s, off_delay_s, re_alarm_s, window_s, .. } = *self;
        for said in [limit, deadband, on_delay_s, off_delay_s, re_alarm_s, window_s] {
            put_bool(out, said.is_some());
            if let Some(number) = said {
                put_f64(out, number);
            }
        }
        for said in [&self.priority, &self.source, &self.message, &self.consequence, &self.response] {
            put_text(said, out);
        }
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let rule = reader.text()?.to_owned();
        let flag =
            |reader: &mut Reader<'_>| Ok([Some(false), Some(true)].get(usize::from(reader.u8()?)).copied().flatten());
        let (enabled, latched) = (flag(reader)?, flag(reader)?);
        let mut numbers = [None; 6];
        for number in &mut numbers {
            *number = if reader.bool()? { Some(reader.f64()?) } else { None };
        }
        let [limit, deadband, on_delay_s, off_delay_s, re_alarm_s, window_s] = numbers;
        Ok(Self {
            rule,
            enabled,
            limit,
            deadband,
            on_delay_s,
            off_delay_s,
            latched,
            re_alarm_s,
            window_s,
            priority: text(reader)?,
            source: text(reader)?,
            message: text(reader)?,
            consequence: text(reader)?,
            response: text(reader)?,
        })
    }
}

impl Wanted {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_text(&self.profile, out);
        put_text(&self.unit, out);
        put_bool(out, self.number_format == NumberFormat::Comma);
        put_varint(out, self.rules.len() as u64);
        self.rules.iter().for_each(|change| change.save(out));
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (profile, unit) = (text(reader)?, text(reader)?);
        let number_format = if reader.bool()? { NumberFormat::Comma } else { NumberFormat::Point };
        let rules = (0..reader.count()?).map(|_| Change::load(reader)).collect::<Wire<_>>()?;
        Ok(Self { profile, unit, number_format, rules })
    }
}

fn put_text(text: &Option<String>, out: &mut Vec<u8>) {
    put_bool(out, text.is_some());
    if let Some(text) = text {
        put_bytes(out, text.as_bytes());
    }
}

fn text(reader: &mut Reader<'_>) -> Wire<Option<String>> {
    Ok(if reader.bool()? { Some(reader.text()?.to_owned()) } else { None })
}
