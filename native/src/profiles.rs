//! Named tables of limits by sensor type, each limit with its source. A profile that names a type replaces all limits
//! of it; the types that it does not name keep the field hub's.

use crate::rule::Rule;
use crate::rules::Priority;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The field hub's normal ranges, which are in `rules::TYPES`.
    #[default]
    Hub,
    AmbientSafety,
    GasQuality,
}

/// A limit of a type, in the unit that goes with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    pub of_type: &'static str,
    pub rule: Rule,
    pub limit: f64,
    pub unit: &'static str,
    pub priority: Priority,
    pub source: &'static str,
}

const fn preset(
    of_type: &'static str,
    rule: Rule,
    limit: f64,
    unit: &'static str,
    priority: Priority,
    source: &'static str,
) -> Preset {
    Preset { of_type, rule, limit, unit, priority, source }
}

/// Air where people work.
static AMBIENT_SAFETY: &[Preset] = &[
    preset("GasDetection", Rule::High, 20.0, "% LEL", Priority::High, "20 % LEL, usual low alarm of fixed detectors"),
    preset("GasDetection", Rule::HighHigh, 40.0, "% LEL", Priority::Critical, "40 % LFL, 33 CFR 127.205"),
    preset("HydrogenSulfideContent", Rule::High, 10.0, "ppm", Priority::High, "10 ppm, usual low alarm"),
    preset(
        "HydrogenSulfideContent",
        Rule::HighHigh,
        15.0,
        "ppm",
        Priority::Critical,
        "15 ppm, short-term exposure limit",
    ),
    preset("OxygenContent", Rule::Low, 19.5, "%", Priority::Critical, "19.5 %, oxygen-deficient air, 29 CFR 1910.146"),
    preset("OxygenContent", Rule::High, 23.5, "%", Priority::Critical, "23.5 %, oxygen-enriched air, 29 CFR 1910.146"),
    preset("CarbonDioxideContent", Rule::High, 5_000.0, "ppm", Priority::High, "0.5 vol%, 8 h exposure limit"),
    preset("CarbonDioxideContent", Rule::HighHigh, 10_000.0, "ppm", Priority::Critical, "1.0 vol%, usual high alarm"),
    preset("Noise", Rule::High, 85.0, "dB", Priority::Medium, "85 dB, action level, 29 CFR 1910.95"),
    preset("Noise", Rule::HighHigh, 90.0, "dB", Priority::High, "90 dB over 8 h, 29 CFR 1910.95"),
];

/// Gas as it is sold, and what it does to the pipe.
static GAS_QUALITY: &[Preset] = &[
    preset("HydrogenSulfideContent", Rule::High, 4.0, "ppm", Priority::High, "0.25 gr/100 scf, usual tariff"),
    preset("OxygenContent", Rule::High, 0.2, "%", Priority::Medium, "0.2 %, usual tariff"),
    preset("CarbonDioxideContent", Rule::High, 20_000.0, "ppm", Priority::Medium, "2 vol%, usual tariff"),
    preset("WaterContent", Rule::High, 112.0, "mg/Sm³", Priority::Medium, "7 lb/MMscf, usual tariff"),
    preset("Corrosion", Rule::High, 0.127, "mm/year", Priority::Medium, "moderate from 0.127 mm/year, NACE classes"),
    preset("Corrosion", Rule::HighHigh, 0.254, "mm/year", Priority::High, "high from 0.254 mm/year, NACE classes"),
];

impl Profile {
    const ALL: [Self; 3] = [Self::Hub, Self::AmbientSafety, Self::GasQuality];

    pub fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::AmbientSafety => "ambient_safety",
            Self::GasQuality => "gas_quality",
        }
    }

    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The limits of a type; empty: the hub's hold.
    pub fn limits(self, of_type: &str) -> Vec<&'static Preset> {
        let presets = match self {
            Self::Hub => &[],
            Self::AmbientSafety => AMBIENT_SAFETY,
            Self::GasQuality => GAS_QUALITY,
        };
        presets.iter().filter(|preset| preset.of_type == of_type).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    #[test]
    fn every_preset_is_a_limit_inside_of_what_is_physical_and_says_where_it_comes_from() {
        for preset in AMBIENT_SAFETY.iter().chain(GAS_QUALITY) {
            let of_type = rules::get(rules::find(preset.of_type).unwrap());
            let (floor, ceiling) = of_type.physical;
            assert!(preset.rule.side().is_some() && !preset.source.is_empty() && !preset.unit.is_empty());
            assert!(floor < preset.limit && (preset.limit < ceiling || preset.unit != of_type.unit), "{preset:?}");
        }
    }

    #[test]
    fn every_profile_is_found_by_its_name() {
        for profile in Profile::ALL {
            assert_eq!(Profile::find(profile.name()), Some(profile));
        }
        assert_eq!(Profile::find("unheard"), None);
    }
}
