//! The rules that hold for a sensor, as data: what each asks for and what it does.

use std::sync::{Arc, LazyLock};

use crate::alarm::Delays;
use crate::instant::US_PER_S;
use crate::rule::{Rule, Side};
use crate::rules::{self, Priority, TypeRules};

/// An anomaly that is over must have been so for this long.
const ANOMALY_OFF_US: i64 = 60 * US_PER_S;

/// A rule as it holds for a sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub rule: Rule,
    pub priority: Priority,
    /// In units of the value, as the deadband; none: the rule has no limit.
    pub limit: Option<f64>,
    pub deadband: f64,
    pub delays: Delays,
    pub source: &'static str,
}

impl Spec {
    fn new(rule: Rule, priority: Priority) -> Self {
        Self { rule, priority, limit: None, deadband: 0.0, delays: Delays::default(), source: "" }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// Those that are switched on, in the order of the rules.
    specs: Box<[Spec]>,
    /// The innermost limits: between them none is violated.
    innermost: (f64, f64),
}

impl RuleSet {
    fn new(mut specs: Vec<Spec>) -> Self {
        specs.sort_by_key(|spec| spec.rule);
        let limits =
            |side| specs.iter().filter(move |spec| spec.rule.side() == Some(side)).filter_map(|spec| spec.limit);
        let low = limits(Side::Below).fold(f64::NEG_INFINITY, f64::max);
        let high = limits(Side::Above).fold(f64::INFINITY, f64::min);
        Self { innermost: (low, high), specs: specs.into() }
    }

    /// What holds where nothing is set, by place in `rules::TYPES`.
    pub fn of_type(type_index: u8) -> Arc<Self> {
        static SETS: LazyLock<Vec<Arc<RuleSet>>> =
            LazyLock::new(|| rules::TYPES.iter().map(|of_type| Arc::new(defaults(of_type))).collect());
        SETS.get(usize::from(type_index)).cloned().unwrap_or_else(|| Arc::new(defaults(rules::get(type_index))))
    }

    pub fn spec(&self, rule: Rule) -> Option<&Spec> {
        self.specs.iter().find(|spec| spec.rule == rule)
    }

    pub fn limit(&self, rule: Rule) -> Option<f64> {
        self.spec(rule)?.limit
    }

    /// Those that hold each reading against a limit.
    pub fn limits(&self) -> impl Iterator<Item = (&Spec, Side, f64)> {
        self.specs.iter().filter_map(|spec| Some((spec, spec.rule.side()?, spec.limit?)))
    }

    /// Flags of the sides on which a value violates a limit.
    #[inline]
    pub fn flags_of(&self, value: f64) -> u16 {
        let (low, high) = self.innermost;
        let mut flags = 0;
        if value < low {
            flags |= Side::Below.flag();
        }
        if value > high {
            flags |= Side::Above.flag();
        }
        flags
    }

    /// The rules whose limits a value violates.
    pub fn violated(&self, value: f64) -> impl Iterator<Item = (&Spec, Side, f64)> {
        self.limits().filter(move |(_, side, limit)| side.is_violated(value, *limit))
    }
}

fn defaults(of_type: &TypeRules) -> RuleSet {
    let delays = Delays { on_us: of_type.on_delay_us, off_us: of_type.off_delay_us };
    let limit = |rule: Rule, limit: Option<f64>| {
        let spec = Spec::new(rule, of_type.priority);
        limit.map(|limit| Spec {
            limit: Some(limit),
            deadband: of_type.deadband(),
            delays,
            source: of_type.source,
            ..spec
        })
    };
    let anomaly =
        Spec { delays: Delays { on_us: 0, off_us: ANOMALY_OFF_US }, ..Spec::new(Rule::Anomaly, Priority::Low) };
    let stale = Spec::new(Rule::Stale, Priority::Low);
    let limits = [limit(Rule::Low, of_type.low), limit(Rule::High, of_type.high)];
    RuleSet::new(limits.into_iter().flatten().chain([anomaly, stale]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_its_limits_and_everything_is_watched_for_silence() {
        let rules_of = |name: &str| -> Vec<Rule> {
            let set = RuleSet::of_type(rules::find(name).unwrap());
            set.specs.iter().map(|spec| spec.rule).collect()
        };
        assert_eq!(rules_of("Temperature"), [Rule::Low, Rule::High, Rule::Anomaly, Rule::Stale]);
        assert_eq!(rules_of("LeakDetection"), [Rule::High, Rule::Anomaly, Rule::Stale]);
        assert_eq!(rules_of("ValveStatus"), [Rule::Anomaly, Rule::Stale]);
    }

    #[test]
    fn the_flags_are_those_of_the_violated_rules() {
        for (index, _) in rules::TYPES.iter().enumerate() {
            let set = RuleSet::of_type(index as u8);
            for value in [-1e9, 0.0, 0.5, 0.51, 4.0, 20.0, 25.0, 25.01, 1013.0, 1e9] {
                let flags = set.violated(value).fold(0, |all, (_, side, _)| all | side.flag());
                assert_eq!(set.flags_of(value), flags, "{} {value}", rules::get(index as u8).name);
            }
        }
    }
}
