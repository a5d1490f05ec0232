//! What people may set of how anomalies are looked for, over the defaults of a sensor's type.

use serde::Deserialize;

use crate::detector::Tuning;
use crate::instant::DAY_S;
use crate::limits::BUDGET_DAYS_MAX;
use crate::rules;
use crate::wire::{put_bool, put_f64, put_varint, Reader, Wire, WireError};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    pub tuning: Tuning,
    /// Outside of it a reading is a fault of the instrument: it is not learned and clears nothing.
    pub physical: (f64, f64),
}

/// As a configuration says it; what is absent is as the type has it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawDetection {
    budget_days: Option<f64>,
    warming_readings: Option<u64>,
    physical_low: Option<f64>,
    physical_high: Option<f64>,
    is_on: Option<bool>,
}

impl Detection {
    pub fn of_type(type_index: u8) -> Self {
        Self { tuning: Tuning::default(), physical: rules::get(type_index).physical }
    }

    pub fn budget_days(&self) -> f64 {
        self.tuning.budget_s / DAY_S
    }

    fn check(self) -> Result<Self, String> {
        let (low, high) = self.physical;
        let budget_days = self.budget_days();
        if !(budget_days > 0.0 && budget_days <= BUDGET_DAYS_MAX) {
            return Err(format!("budget_days {budget_days} is not above 0 and at most {BUDGET_DAYS_MAX}"));
        }
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(format!("physical_low {low} is not below physical_high {high}"));
        }
        Ok(self)
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_varint(out, self.tuning.warming_readings);
        put_bool(out, self.tuning.is_on);
        for number in [self.tuning.budget_s, self.physical.0, self.physical.1] {
            put_f64(out, number);
        }
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (warming_readings, is_on) = (reader.varint()?, reader.bool()?);
        let tuning = Tuning { warming_readings, is_on, budget_s: reader.f64()? };
        Self { tuning, physical: (reader.f64()?, reader.f64()?) }.check().map_err(WireError::new)
    }
}

impl RawDetection {
    pub fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    /// Over what holds otherwise; says what is wrong.
    pub fn over(&self, default: Detection) -> Result<Detection, String> {
        let tuning = Tuning {
            budget_s: self.budget_days.map_or(default.tuning.budget_s, |days| days * DAY_S),
            warming_readings: self.warming_readings.unwrap_or(default.tuning.warming_readings),
            is_on: self.is_on.unwrap_or(default.tuning.is_on),
        };
        let (low, high) = default.physical;
        let physical = (self.physical_low.unwrap_or(low), self.physical_high.unwrap_or(high));
        Detection { tuning, physical }.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Detection, String> {
        RawDetection::read(json)?.over(Detection::of_type(0))
    }

    #[test]
    fn what_is_not_said_is_as_the_type_has_it() {
        let default = Detection::of_type(0);
        assert_eq!(read("{}"), Ok(default));
        assert_eq!((default.budget_days(), default.physical), (20.0, (-273.15, 3000.0)));
        let set = read(r#"{"budget_days": 2, "physical_low": 0, "is_on": false}"#).unwrap();
        assert_eq!((set.tuning.budget_s, set.tuning.is_on, set.physical), (172_800.0, false, (0.0, 3000.0)));
        assert_eq!(set.tuning.warming_readings, default.tuning.warming_readings);
    }

    #[test]
    fn limits_are_told() {
        assert!(read(r#"{"budget_days": 3650}"#).is_ok() && read(r#"{"budget_days": 1e-9}"#).is_ok());
        for wrong in [
            r#"{"budget_days": 3650.1}"#,
            r#"{"budget_days": 0}"#,
            r#"{"physical_low": 3000}"#,
            r#"{"physical_high": -273.15}"#,
            r#"{"warming_readings": -1}"#,
            r#"{"budget": 5}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_snapshot_keeps_it() {
        let set = read(r#"{"budget_days": 2.5, "warming_readings": 77, "physical_high": 9, "is_on": false}"#).unwrap();
        let mut bytes = Vec::new();
        set.save(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Detection::load(&mut reader), Ok(set));
        assert!(reader.is_empty());
        assert!(Detection::load(&mut Reader::new(&bytes[..9])).is_err());
    }
}
