//! The rules that hold for a sensor, as data: what each asks for and what it does. Made of what its type has, what a
//! profile puts in the place of that, and what people set.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use foldhash::fast::RandomState;

use crate::alarm::{Condition, Delays};
use crate::instant::US_PER_S;
use crate::limits::{DELAY_S_MAX, RE_ALARM_S_MAX, RULE_TEXT_BYTES_MAX, VALUE_MAX, WINDOW_S_MAX};
use crate::printable::lines_escaped;
use crate::profiles::Profile;
use crate::rule::{Level, Measure, Owner, Rule, Side};
use crate::rules::{self, Priority, TypeRules};
use crate::spelling::Spelling;
use crate::wanted::{Change, Wanted};

/// The window of a rate of change where none is set.
const WINDOW_US: i64 = 60 * US_PER_S;
/// The deadband of a profile's limit, as a share of it.
const PRESET_DEADBAND_SHARE: f64 = 0.01;
/// Where a rule comes from that people made.
const SET: &str = "set for this sensor";

/// What people are to know of a rule when its alarm comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Texts {
    pub message: Option<String>,
    pub consequence: Option<String>,
    pub response: Option<String>,
}

/// A rule as it holds for a sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub rule: Rule,
    pub priority: Priority,
    /// In units of the value, as the deadband; none: the rule has no limit.
    pub limit: Option<f64>,
    pub deadband: f64,
    pub delays: Delays,
    /// What was active stays until it is reset.
    pub latched: bool,
    /// After which time it is told again, if nobody has acknowledged it.
    pub re_alarm_us: Option<i64>,
    /// In which time a value may change by the limit, or has to move.
    pub window_us: i64,
    pub source: Cow<'static, str>,
    pub texts: Option<Box<Texts>>,
}

impl Spec {
    fn new(rule: Rule, priority: Priority) -> Self {
        Self {
            rule,
            priority,
            limit: None,
            deadband: 0.0,
            delays: Delays::default(),
            latched: false,
            re_alarm_us: None,
            window_us: if rule.kind().measure == Measure::Change { WINDOW_US } else { 0 },
            source: "".into(),
            texts: None,
        }
    }

    /// Of a group, with what people set.
    pub fn of_group(rule: Rule, priority: Priority, change: &Change) -> Result<Self, String> {
        Self::new(rule, priority).with(change)
    }

    /// What people are to know of it, beside what else explains its alarm.
    pub fn explain(&self, explanation: &mut serde_json::Value) {
        let Some(texts) = &self.texts else { return };
        let fields = [("message", &texts.message), ("consequence", &texts.consequence), ("response", &texts.response)];
        for (name, text) in fields.into_iter().filter(|(_, text)| text.is_some()) {
            explanation[name] = text.as_deref().into();
        }
    }

    /// As it is where a profile and a type have nothing else to say of it.
    fn of_type(rule: Rule, of_type: &TypeRules) -> Self {
        let delays = Delays { on_us: of_type.on_delay_us, off_us: of_type.off_delay_us };
        match rule.kind().measure {
            Measure::Value(side, Level::First) => {
                let limit = match side {
                    Side::Below => of_type.low,
                    Side::Above => of_type.high,
                    Side::Outside => None,
                };
                let source = of_type.source.into();
                Self { limit, deadband: of_type.deadband(), delays, source, ..Self::new(rule, of_type.priority) }
            }
            Measure::Value(_, Level::Second) => {
                Self { deadband: of_type.deadband(), delays, ..Self::new(rule, of_type.priority.beyond()) }
            }
            Measure::Change => Self { delays, ..Self::new(rule, of_type.priority) },
            Measure::Stillness => Self::new(rule, of_type.priority),
            Measure::None | Measure::Physical => {
                let delays = Delays { on_us: 0, off_us: rule.kind().off_us };
                let priority = if rule.kind().mutes_limits { of_type.priority } else { Priority::Low };
                Self { delays, ..Self::new(rule, priority) }
            }
        }
    }

    /// Why it cannot hold as it is.
    fn lacks(&self, of_type: &TypeRules) -> Option<&'static str> {
        let kind = self.rule.kind();
        match kind.measure {
            Measure::Stillness if of_type.has_words => Some("readings that cannot be words"),
            Measure::Stillness => (self.window_us == 0).then_some("a window_s"),
            _ if kind.mutes_limits && of_type.has_words => Some("readings that cannot be words"),
            Measure::None | Measure::Physical => None,
            Measure::Value(..) | Measure::Change => self.limit.is_none().then_some("a limit"),
        }
    }

    /// With what people set; says what is wrong.
    fn with(mut self, change: &Change) -> Result<Self, String> {
        let measure = self.rule.kind().measure;
        let name = self.rule.name();
        if matches!(measure, Measure::None | Measure::Physical) && (change.limit.is_some() || change.deadband.is_some())
        {
            return Err(format!("{name} has no limit and no deadband"));
        }
        if measure == Measure::Stillness && change.limit.is_some() {
            return Err(format!("{name} has no limit"));
        }
        if !matches!(measure, Measure::Change | Measure::Stillness) && change.window_s.is_some() {
            return Err(format!("{name} has no window"));
        }
        if let Some(limit) = change.limit {
            let least = if measure == Measure::Change { f64::MIN_POSITIVE } else { -VALUE_MAX };
            self.limit = Some(within(name, "limit", limit, least, VALUE_MAX)?);
            self.source = SET.into();
        }
        if let Some(deadband) = change.deadband {
            self.deadband = within(name, "deadband", deadband, 0.0, VALUE_MAX)?;
        }
        for (field, said, us) in [
            ("on_delay_s", change.on_delay_s, &mut self.delays.on_us),
            ("off_delay_s", change.off_delay_s, &mut self.delays.off_us),
        ] {
            if let Some(seconds) = said {
                *us = us_of(within(name, field, seconds, 0.0, f64::from(DELAY_S_MAX))?);
            }
        }
        if let Some(seconds) = change.re_alarm_s {
            self.re_alarm_us = Some(us_of(within(name, "re_alarm_s", seconds, 1.0, f64::from(RE_ALARM_S_MAX))?));
        }
        if let Some(seconds) = change.window_s {
            self.window_us = us_of(within(name, "window_s", seconds, 1.0, f64::from(WINDOW_S_MAX))?);
        }
        if let Some(priority) = &change.priority {
            let known = Priority::find(priority);
            self.priority = known.ok_or_else(|| format!("{name} has the unknown priority {priority:?}"))?;
        }
        self.latched = change.latched.unwrap_or(self.latched);
        if let Some(source) = bounded(name, "source", &change.source)? {
            self.source = source.into();
        }
        let texts = Texts {
            message: bounded(name, "message", &change.message)?,
            consequence: bounded(name, "consequence", &change.consequence)?,
            response: bounded(name, "response", &change.response)?,
        };
        self.texts = (texts != Texts::default()).then(|| Box::new(texts));
        Ok(self)
    }
}

fn us_of(seconds: f64) -> i64 {
    (seconds * US_PER_S as f64) as i64
}

fn within(rule: &str, field: &str, number: f64, least: f64, most: f64) -> Result<f64, String> {
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(format!("{rule} has the {field} {number}, which is not within {least} and {most}"))
    }
}

fn bounded(rule: &str, field: &str, text: &Option<String>) -> Result<Option<String>, String> {
    match text {
        Some(text) if text.len() > RULE_TEXT_BYTES_MAX => {
            Err(format!("{rule} has a {field} of {} bytes; {RULE_TEXT_BYTES_MAX} are the most", text.len()))
        }
        text => Ok(text.as_deref().map(lines_escaped)),
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// Those that are switched on, in the order of the rules.
    specs: Box<[Spec]>,
    /// The innermost limits: between them none is violated.
    innermost: (f64, f64),
    tells_range: bool,
    /// A change of more than the first violates `rate_of_change`, one of at most the second is clear of it.
    rate: Option<(f64, f64)>,
    /// Within this much a value has not moved for `stuck`.
    still_band: Option<f64>,
    /// Of the readings; what messages show behind a value.
    pub unit: Cow<'static, str>,
    /// How texts write numbers.
    pub spelling: Spelling,
    /// What it was made of, beside the type.
    pub wanted: Wanted,
}

impl RuleSet {
    fn of(of_type: &TypeRules, wanted: &Wanted) -> Result<Self, String> {
        let profile = match &wanted.profile {
            None => Profile::default(),
            Some(name) => Profile::find(name)
                .ok_or_else(|| format!("unknown profile {name:?}; known are {}", Profile::names()))?,
        };
        let presets = profile.limits(of_type.name);
        let mut specs = Vec::new();
        for rule in Rule::of_sensors() {
            let mut spec = Spec::of_type(rule, of_type);
            if !presets.is_empty() && rule.side().is_some() {
                spec.limit = None;
            }
            if let Some(preset) = presets.iter().find(|preset| preset.rule == rule) {
                spec.limit = Some(preset.limit);
                spec.priority = preset.priority;
                spec.deadband = PRESET_DEADBAND_SHARE * preset.limit;
                spec.source = preset.source.into();
            }
            let mut said = wanted.rules.iter().filter(|change| change.rule == rule.name());
            let (change, again) = (said.next(), said.next());
            if again.is_some() {
                return Err(format!("{} is set twice", rule.name()));
            }
            if let Some(change) = change {
                spec = spec.with(change)?;
                if let (Some(true), Some(lacks)) = (change.enabled, spec.lacks(of_type)) {
                    return Err(format!("{} needs {lacks}", rule.name()));
                }
            }
            if spec.lacks(of_type).is_none() && change.is_none_or(|change| change.enabled != Some(false)) {
                specs.push(spec);
            }
        }
        let is_known = |name: &str| Rule::find(name).is_some_and(|rule| rule.kind().owner == Owner::Sensor);
        if let Some(strange) = wanted.rules.iter().find(|change| !is_known(&change.rule)) {
            return Err(format!("a sensor has no rule {:?}", strange.rule));
        }
        let unit = match bounded("a sensor", "unit", &wanted.unit)? {
            Some(unit) => unit.into(),
            None => presets.first().map_or(of_type.unit, |preset| preset.unit).into(),
        };
        let limits =
            |side| specs.iter().filter(move |spec| spec.rule.side() == Some(side)).filter_map(|spec| spec.limit);
        let low = limits(Side::Below).fold(f64::NEG_INFINITY, f64::max);
        let high = limits(Side::Above).fold(f64::INFINITY, f64::min);
        let spelling = Spelling::of(wanted.number_format, wanted.unit.as_deref())?;
        let find = |rule| specs.iter().find(|spec| spec.rule == rule);
        Ok(Self {
            innermost: (low, high),
            tells_range: find(Rule::OutOfPhysicalRange).is_some(),
            rate: find(Rule::RateOfChange).and_then(|spec| Some((spec.limit?, spec.limit? - spec.deadband))),
            still_band: find(Rule::Stuck).map(|spec| spec.deadband),
            specs: specs.into(),
            unit,
            spelling,
            wanted: wanted.clone(),
        })
    }

    /// What holds where nothing is set, by place in `rules::TYPES`.
    pub fn of_type(type_index: u8) -> Arc<Self> {
        static SETS: LazyLock<Vec<Arc<RuleSet>>> = LazyLock::new(|| rules::TYPES.iter().map(defaults).collect());
        SETS.get(usize::from(type_index)).cloned().unwrap_or_else(|| defaults(rules::get(type_index)))
    }

    pub fn specs(&self) -> &[Spec] {
        &self.specs
    }

    pub fn spec(&self, rule: Rule) -> Option<&Spec> {
        self.specs.iter().find(|spec| spec.rule == rule)
    }

    pub fn limit(&self, rule: Rule) -> Option<f64> {
        self.spec(rule)?.limit
    }

    /// Those that hold the value of each reading against a limit, or against what is physical.
    pub fn limits(&self) -> impl Iterator<Item = (&Spec, Side)> {
        self.specs.iter().filter_map(|spec| Some((spec, spec.rule.side()?)))
    }

    /// Whether a reading outside of what is physical is told as that, and no limit speaks of it.
    pub fn tells_range(&self) -> bool {
        self.tells_range
    }

    /// Whether both judge every value alike.
    pub fn judges_as(&self, other: &Self) -> bool {
        let judged = |(spec, _): (&Spec, Side)| (spec.rule, spec.limit, spec.deadband, spec.delays);
        self.limits().map(judged).eq(other.limits().map(judged))
    }

    /// What a change makes of `rate_of_change`; none: nothing asks for it.
    #[inline]
    pub fn condition_of_change(&self, change: f64) -> Option<Condition> {
        let (beyond, clear) = self.rate?;
        Some(match change.abs() {
            size if size > beyond => Condition::Violated,
            size if size <= clear => Condition::Clear,
            _ => Condition::Between,
        })
    }

    /// Within how much a value has not moved; none: nothing asks for it.
    #[inline]
    pub fn still_band(&self) -> Option<f64> {
        self.still_band
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
    pub fn violated(&self, value: f64) -> impl Iterator<Item = (&Spec, Side)> {
        self.limits().filter(move |(spec, side)| spec.limit.is_some_and(|limit| side.is_violated(value, limit)))
    }

    pub fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        let texts = |change: &Change| {
            [&change.source, &change.message, &change.consequence, &change.response]
                .into_iter()
                .map(text)
                .sum::<usize>()
        };
        let of_wanted: usize = self.wanted.rules.iter().map(|change| size_of::<Change>() + 2 * texts(change)).sum();
        size_of::<Self>() + size_of_val(&*self.specs) + of_wanted
    }
}

fn defaults(of_type: &TypeRules) -> Arc<RuleSet> {
    let set = RuleSet::of(of_type, &Wanted::default());
    // nothing is set, so nothing can be wrong
    Arc::new(set.unwrap_or_else(|_| RuleSet {
        specs: Box::default(),
        innermost: (f64::NEG_INFINITY, f64::INFINITY),
        tells_range: false,
        rate: None,
        still_band: None,
        unit: of_type.unit.into(),
        spelling: Spelling::default(),
        wanted: Wanted::default(),
    }))
}

/// Makes rules, once for all sensors of a type of which the same is wanted.
#[derive(Debug, Default)]
pub struct RuleSets(HashMap<(u8, Vec<u8>), Arc<RuleSet>, RandomState>);

impl RuleSets {
    /// Says what is wrong with what is wanted.
    pub fn get(&mut self, type_index: u8, wanted: &Wanted) -> Result<Arc<RuleSet>, String> {
        if wanted.is_nothing() {
            return Ok(RuleSet::of_type(type_index));
        }
        let mut key = Vec::new();
        wanted.save(&mut key);
        if let Some(known) = self.0.get(&(type_index, key.clone())) {
            return Ok(known.clone());
        }
        let set = Arc::new(RuleSet::of(rules::get(type_index), wanted)?);
        self.0.insert((type_index, key), set.clone());
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(of_type: &str, json: serde_json::Value) -> Result<Arc<RuleSet>, String> {
        let wanted: Wanted = serde_json::from_value(json).map_err(|error| error.to_string())?;
        RuleSets::default().get(rules::find(of_type).unwrap(), &wanted)
    }

    fn names(set: &RuleSet) -> Vec<&'static str> {
        set.specs().iter().map(|spec| spec.rule.name()).collect()
    }

    #[test]
    fn a_type_has_its_limits_and_everything_is_watched_for_silence() {
        let rules_of = |name: &str| names(&set_of(name, serde_json::json!({})).unwrap());
        let range = "out_of_physical_range";
        assert_eq!(rules_of("Temperature"), ["low", "high", range, "anomaly", "stale", "bad_value", "clock"]);
        assert_eq!(rules_of("LeakDetection"), ["high", range, "anomaly", "stale", "bad_value", "clock"]);
        assert_eq!(rules_of("ValveStatus"), ["anomaly", "stale", "clock"]);
    }

    #[test]
    fn what_mutes_limits_is_as_urgent_and_can_be_set_like_others() {
        let gas = set_of("GasDetection", serde_json::json!({})).unwrap();
        assert_eq!(gas.spec(Rule::BadValue).unwrap().priority, gas.spec(Rule::High).unwrap().priority);
        assert_eq!(gas.spec(Rule::OutOfPhysicalRange).unwrap().priority, gas.spec(Rule::High).unwrap().priority);
        assert_eq!(gas.spec(Rule::Clock).unwrap().priority, Priority::Low);
        let changes =
            serde_json::json!([{"rule": "bad_value", "enabled": false}, {"rule": "clock", "priority": "critical"}]);
        let set = set_of("GasDetection", serde_json::json!({"rules": changes})).unwrap();
        assert_eq!(set.spec(Rule::BadValue), None);
        assert_eq!(set.spec(Rule::Clock).unwrap().priority, Priority::Critical);
        let valve = serde_json::json!({"rules": [{"rule": "bad_value", "enabled": true}]});
        assert_eq!(set_of("ValveStatus", valve).unwrap_err(), "bad_value needs readings that cannot be words");
        let valve = serde_json::json!({"rules": [{"rule": "stuck", "enabled": true, "window_s": 60}]});
        assert_eq!(set_of("ValveStatus", valve).unwrap_err(), "stuck needs readings that cannot be words");
    }

    #[test]
    fn what_is_set_changes_what_the_type_has_and_nothing_else() {
        let set = set_of(
            "Temperature",
            serde_json::json!({"unit": "K", "rules": [
                {"rule": "high", "limit": 30, "priority": "critical", "latched": true, "re_alarm_s": 600, "response": "go\u{7}"},
                {"rule": "low", "enabled": false},
                {"rule": "high_high", "limit": 40.5},
                {"rule": "rate_of_change", "limit": 5, "window_s": 900, "on_delay_s": 2.5},
                {"rule": "stale", "priority": "high"},
            ]}),
        )
        .unwrap();
        assert_eq!(names(&set)[..4], ["high", "high_high", "out_of_physical_range", "rate_of_change"]);
        assert_eq!(set.unit, "K");
        let high = set.spec(Rule::High).unwrap();
        assert_eq!((high.limit, high.priority, high.latched), (Some(30.0), Priority::Critical, true));
        assert_eq!((high.re_alarm_us, high.deadband, high.delays.off_us), (Some(600 * US_PER_S), 0.05, 60 * US_PER_S));
        assert_eq!((&*high.source, high.texts.as_ref().unwrap().response.as_deref()), (SET, Some("go\\x07")));
        assert_eq!(set.spec(Rule::HighHigh).unwrap().priority, Priority::High, "beyond the medium of the type");
        let rate = set.spec(Rule::RateOfChange).unwrap();
        assert_eq!((rate.window_us, rate.delays.on_us), (900 * US_PER_S, 2_500_000));
        assert_eq!(set.spec(Rule::Stale).unwrap().priority, Priority::High);
    }

    #[test]
    fn a_profile_puts_its_limits_in_the_place_of_the_types() {
        let gas = set_of("GasDetection", serde_json::json!({"profile": "ambient_safety"})).unwrap();
        assert_eq!(names(&gas)[..3], ["high", "high_high", "out_of_physical_range"]);
        let top = gas.spec(Rule::HighHigh).unwrap();
        assert_eq!((top.limit, top.priority, top.deadband), (Some(40.0), Priority::Critical, 0.4));
        assert_eq!((&*gas.unit, &*top.source), ("% LEL", "40 % LFL, 33 CFR 127.205"));
        let other = set_of("Temperature", serde_json::json!({"profile": "gas_quality"})).unwrap();
        assert_eq!(other.specs(), RuleSet::of_type(0).specs(), "it names no temperature");
        let changed = set_of(
            "GasDetection",
            serde_json::json!({"profile": "ambient_safety", "rules": [{"rule": "high", "limit": 10}]}),
        );
        assert_eq!(changed.unwrap().limit(Rule::High), Some(10.0));
    }

    #[test]
    fn limits_of_what_may_be_set_are_told() {
        let one = |fields: serde_json::Value| set_of("Temperature", serde_json::json!({"rules": [fields]}));
        for good in [
            serde_json::json!({"rule": "high", "limit": 1e30}),
            serde_json::json!({"rule": "high", "deadband": 0}),
            serde_json::json!({"rule": "high", "on_delay_s": 86_400}),
            serde_json::json!({"rule": "high", "re_alarm_s": 1}),
            serde_json::json!({"rule": "high", "re_alarm_s": 604_800}),
            serde_json::json!({"rule": "high", "message": "m".repeat(1_000)}),
            serde_json::json!({"rule": "rate_of_change", "limit": 1, "window_s": 86_400}),
            serde_json::json!({"rule": "high_high", "enabled": false}),
            serde_json::json!({"rule": "stuck", "window_s": 1, "deadband": 0.5}),
            serde_json::json!({"rule": "stuck", "window_s": 86_400}),
        ] {
            assert!(one(good.clone()).is_ok(), "{good}");
        }
        for (wrong, says) in [
            (serde_json::json!({"rule": "high", "limit": 1.1e30}), "high has the limit"),
            (
                serde_json::json!({"rule": "high", "deadband": -0.1}),
                "high has the deadband -0.1, which is not within 0 and",
            ),
            (serde_json::json!({"rule": "high", "on_delay_s": 86_401}), "on_delay_s 86401"),
            (serde_json::json!({"rule": "high", "off_delay_s": -1}), "off_delay_s -1"),
            (serde_json::json!({"rule": "high", "re_alarm_s": 0.5}), "re_alarm_s 0.5"),
            (serde_json::json!({"rule": "high", "re_alarm_s": 604_801}), "re_alarm_s 604801"),
            (serde_json::json!({"rule": "high", "window_s": 60}), "high has no window"),
            (serde_json::json!({"rule": "high", "message": "m".repeat(1_001)}), "a message of 1001 bytes"),
            (serde_json::json!({"rule": "high", "priority": "urgent"}), "unknown priority \"urgent\""),
            (serde_json::json!({"rule": "high", "limits": 1}), "unknown field"),
            (serde_json::json!({"rule": "rate_of_change", "limit": 0}), "rate_of_change has the limit 0"),
            (serde_json::json!({"rule": "rate_of_change", "limit": 1, "window_s": 86_401}), "window_s 86401"),
            (serde_json::json!({"rule": "stale", "limit": 1}), "stale has no limit"),
            (serde_json::json!({"rule": "stuck", "limit": 1}), "stuck has no limit"),
            (serde_json::json!({"rule": "stuck", "window_s": 0.5}), "stuck has the window_s 0.5"),
            (serde_json::json!({"rule": "stuck", "window_s": 86_401}), "window_s 86401"),
            (serde_json::json!({"rule": "stuck", "enabled": true}), "stuck needs a window_s"),
            (serde_json::json!({"rule": "out_of_physical_range", "limit": 1}), "out_of_physical_range has no limit"),
            (serde_json::json!({"rule": "high_high", "enabled": true}), "high_high needs a limit"),
            (serde_json::json!({"rule": "facility_anomaly"}), "no rule \"facility_anomaly\""),
            (serde_json::json!({"rule": "unheard"}), "no rule \"unheard\""),
        ] {
            let error = one(wrong.clone()).unwrap_err();
            assert!(error.contains(says), "{wrong}: {error}");
        }
        let twice = serde_json::json!({"rules": [{"rule": "high", "limit": 1}, {"rule": "high", "limit": 2}]});
        assert_eq!(set_of("Temperature", twice).unwrap_err(), "high is set twice");
        assert!(set_of("Temperature", serde_json::json!({"profile": "unheard"}))
            .unwrap_err()
            .contains("ambient_safety"));
    }

    #[test]
    fn the_flags_are_those_of_the_violated_rules() {
        for (index, _) in rules::TYPES.iter().enumerate() {
            let set = RuleSet::of_type(index as u8);
            for value in [-1e9, 0.0, 0.5, 0.51, 4.0, 20.0, 25.0, 25.01, 1013.0, 1e9] {
                let flags = set.violated(value).fold(0, |all, (_, side)| all | side.flag());
                assert_eq!(set.flags_of(value), flags, "{} {value}", rules::get(index as u8).name);
            }
        }
    }

    #[test]
    fn a_change_is_beyond_its_limit_or_clear_of_it_or_between() {
        let rules = serde_json::json!([
            {"rule": "rate_of_change", "limit": 5, "deadband": 1}, {"rule": "stuck", "window_s": 60, "deadband": 0.5},
        ]);
        let set = set_of("Temperature", serde_json::json!({"rules": rules})).unwrap();
        for (change, condition) in
            [(5.1, Condition::Violated), (5.0, Condition::Between), (4.1, Condition::Between), (4.0, Condition::Clear)]
        {
            assert_eq!(
                (set.condition_of_change(change), set.condition_of_change(-change)),
                (Some(condition), Some(condition))
            );
        }
        assert_eq!(set.still_band(), Some(0.5));
        let of_type = RuleSet::of_type(0);
        assert_eq!((of_type.condition_of_change(9.0), of_type.still_band()), (None, None));
    }

    #[test]
    fn the_same_wish_is_one_set_and_a_snapshot_keeps_it() {
        let mut sets = RuleSets::default();
        let wanted: Wanted = serde_json::from_value(serde_json::json!({
            "profile": "hub", "unit": "ppm", "number_format": "comma", "rules": [{"rule": "high", "limit": 0.30000000000000004, "enabled": true}],
        }))
        .unwrap();
        let one = sets.get(10, &wanted).unwrap();
        assert!(
            Arc::ptr_eq(&one, &sets.get(10, &wanted).unwrap()) && !Arc::ptr_eq(&one, &sets.get(11, &wanted).unwrap())
        );
        let mut bytes = Vec::new();
        wanted.save(&mut bytes);
        let mut reader = crate::wire::Reader::new(&bytes);
        assert_eq!(Wanted::load(&mut reader), Ok(wanted));
        assert!(reader.is_empty());
    }
}
