//! What a sensor type's rules are at first: normal range, deadband, delays, physical range, priority, each with its source.

use crate::instant::US_PER_S;
use crate::limits::PHYSICAL_MAX;

/// The starting values of one sensor type.
///
/// `low` and `high` are the field hub's own normal ranges, outside of which existing users expect an alert.
/// The deadband is a share of their span, the off-delay is in event time; both follow usual process practice.
/// Outside of `physical` a reading is a fault of the instrument: it is not learned and clears nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TypeRules {
    pub name: &'static str,
    pub unit: &'static str,
    /// Its readings may be words; of all other types only numbers count.
    pub has_words: bool,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub deadband_share: f64,
    pub on_delay_us: i64,
    pub off_delay_us: i64,
    pub physical: (f64, f64),
    pub priority: Priority,
    pub source: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    Critical,
    High,
    Medium,
    Low,
}

impl Priority {
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.name() == name)
    }

    /// Of the limit beyond a limit of this one.
    pub const fn beyond(self) -> Self {
        match self {
            Self::Critical | Self::High => Self::Critical,
            Self::Medium => Self::High,
            Self::Low => Self::Medium,
        }
    }
}

const HUB: &str = "normal range of the field hub";
const ANY_ONE: &str = "any 1 is an alarm";
const NONE: &str = "no default range";
const WIDE: (f64, f64) = (-PHYSICAL_MAX, PHYSICAL_MAX);
const SHARE: (f64, f64) = (-5.0, 105.0);
const PPM: (f64, f64) = (-100.0, 1_000_100.0);

const fn ranged(name: &'static str, unit: &'static str, low: f64, high: f64, physical: (f64, f64)) -> TypeRules {
    TypeRules {
        name,
        unit,
        has_words: false,
        low: Some(low),
        high: Some(high),
        deadband_share: 0.02,
        on_delay_us: 0,
        off_delay_us: 0,
        physical,
        priority: Priority::Medium,
        source: HUB,
    }
}

const fn worded(name: &'static str) -> TypeRules {
    TypeRules { has_words: true, low: None, high: None, source: NONE, ..ranged(name, "", 0.0, 0.0, WIDE) }
}

const fn any_one(name: &'static str) -> TypeRules {
    let rules = ranged(name, "1 or %", 0.0, 0.5, WIDE);
    TypeRules { low: None, deadband_share: 0.0, priority: Priority::High, source: ANY_ONE, ..rules }
}

impl TypeRules {
    const fn settling(self, deadband_share: f64, off_delay_s: i64) -> Self {
        Self { deadband_share, off_delay_us: off_delay_s * US_PER_S, ..self }
    }

    const fn urgent(self) -> Self {
        Self { priority: Priority::High, ..self }
    }

    /// Deadband in units of the value.
    pub fn deadband(&self) -> f64 {
        match (self.low, self.high) {
            (Some(low), Some(high)) => (high - low) * self.deadband_share,
            _ => 0.0,
        }
    }
}

/// In the order of the wire contract.
pub static TYPES: &[TypeRules] = &[
    ranged("Temperature", "°C", 20.0, 25.0, (-273.15, 3000.0)).settling(0.01, 60),
    ranged("Humidity", "%", 40.0, 60.0, SHARE),
    ranged("Pressure", "hPa", 1013.0, 1015.0, (-2_000.0, 1e7)).settling(0.02, 15),
    ranged("Flow", "m³/h", 200.0, 300.0, (-1e7, 1e7)).settling(0.05, 15),
    ranged("Volume", "m³", 400.0, 600.0, (-1.0, 1e9)).settling(0.02, 15),
    ranged("GasComposition", "%", 95.0, 98.0, SHARE).settling(0.01, 0),
    ranged("LiquidComposition", "%", 95.0, 98.0, SHARE).settling(0.01, 0),
    ranged("Vibration", "mm/s", 2.0, 5.0, (-1_000.0, 1_000.0)),
    ranged("Noise", "dB", 60.0, 80.0, (-50.0, 300.0)),
    ranged("Corrosion", "mm/year", 2.0, 4.0, (-100.0, 1_000.0)),
    ranged("GasDetection", "ppm", 10.0, 20.0, PPM).urgent(),
    any_one("FlameDetection"),
    ranged("LevelIndicator", "m", 4.0, 6.0, (-100.0, 1_000.0)).settling(0.03, 15),
    worded("ValveStatus"),
    worded("PumpStatus"),
    worded("CompressorStatus"),
    ranged("PowerConsumption", "kW", 400.0, 600.0, (-1e7, 1e7)),
    ranged("WaterContent", "%", 0.5, 2.0, SHARE).settling(0.01, 0),
    ranged("OxygenContent", "%", 19.5, 20.5, SHARE).settling(0.01, 0).urgent(),
    ranged("HydrogenSulfideContent", "ppm", 1.0, 5.0, PPM).settling(0.01, 0).urgent(),
    ranged("CarbonDioxideContent", "ppm", 350.0, 1000.0, PPM).settling(0.01, 0),
    ranged("ParticulateMatter", "µg/m³", 50.0, 150.0, (-1_000.0, 1e9)),
    any_one("LeakDetection"),
];

/// The index of no type: no limits, any physical range.
pub const UNKNOWN: u8 = u8::MAX;

/// Position of a type's rules in `TYPES`.
pub fn find(name: &str) -> Option<u8> {
    TYPES.iter().position(|rules| rules.name == name).map(|index| index as u8)
}

/// All types, for people.
pub fn names() -> String {
    TYPES.iter().map(|rules| rules.name).collect::<Vec<_>>().join(", ")
}

pub fn get(index: u8) -> &'static TypeRules {
    static FALLBACK: TypeRules = worded("Unknown");
    TYPES.get(usize::from(index)).unwrap_or(&FALLBACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_lie_inside_what_is_physical() {
        for rules in TYPES {
            let (floor, ceiling) = rules.physical;
            for limit in [rules.low, rules.high].into_iter().flatten() {
                assert!(floor < limit && limit < ceiling, "{}", rules.name);
            }
            assert!(rules.deadband() >= 0.0 && !rules.source.is_empty());
        }
    }

    #[test]
    fn every_type_is_found_by_its_name() {
        for (index, rules) in TYPES.iter().enumerate() {
            assert_eq!(find(rules.name), Some(index as u8));
        }
        assert_eq!(find("Unheard"), None);
    }
}
