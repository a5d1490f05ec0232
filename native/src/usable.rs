//! Whether a reading tells how its sensor stands: what does not keeps nobody from being called stale.

use crate::flag;
use crate::limits::VALUE_MAX;
use crate::rules::TypeRules;

/// Of a type that measures only a number counts that is a measurement, or of which a limit speaks: no rule would ever say
/// a word of "Bad", NaN or 1e300 that comes on time. Of a type whose readings are words everything counts.
///
/// `tells_range`: what is outside of what is physical has a rule of its own, and no limit speaks of it.
pub fn is_usable(rules: &TypeRules, tells_range: bool, value: Option<f64>, flags: u16) -> bool {
    let Some(value) = value else { return rules.has_words };
    let is_physical = flags & flag::OUT_OF_PHYSICAL_RANGE == 0;
    let has_limit_spoken = flags & (flag::BELOW_LOW | flag::ABOVE_HIGH) != 0 && (is_physical || !tells_range);
    is_physical && value.abs() <= VALUE_MAX || rules.has_words || has_limit_spoken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules;

    fn is_usable_of(name: &str, value: Option<f64>, flags: u16) -> bool {
        is_usable(rules::get(rules::find(name).unwrap()), false, value, flags)
    }

    #[test]
    fn words_count_where_words_are_readings() {
        for name in ["ValveStatus", "PumpStatus", "CompressorStatus"] {
            assert!(is_usable_of(name, None, flag::TEXT), "{name}");
            assert!(is_usable_of(name, Some(1e300), flag::OUT_OF_PHYSICAL_RANGE), "{name}");
        }
        for rules in rules::TYPES.iter().filter(|rules| !rules.name.ends_with("Status")) {
            assert!(!is_usable(rules, true, None, flag::TEXT), "{}", rules.name);
            assert!(is_usable(rules, true, Some(0.0), 0), "{}", rules.name);
        }
    }

    #[test]
    fn a_number_that_is_no_measurement_counts_only_if_a_limit_speaks() {
        for (value, flags, is) in [
            (VALUE_MAX, 0, true),
            (VALUE_MAX.next_up(), 0, false),
            (-VALUE_MAX, 0, true),
            (-1e13, flag::OUT_OF_PHYSICAL_RANGE, false),
            (1e13, flag::OUT_OF_PHYSICAL_RANGE | flag::ABOVE_HIGH, true),
            (-1e13, flag::OUT_OF_PHYSICAL_RANGE | flag::BELOW_LOW, true),
        ] {
            assert_eq!(is_usable_of("GasDetection", Some(value), flags), is, "{value} {flags}");
            let is_physical = flags & flag::OUT_OF_PHYSICAL_RANGE == 0;
            let of_gas = rules::get(rules::find("GasDetection").unwrap());
            assert_eq!(is_usable(of_gas, true, Some(value), flags), is && is_physical, "no limit speaks: {value}");
        }
    }
}
