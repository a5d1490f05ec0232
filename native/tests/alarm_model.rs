//! The core against a model of alarms that knows nothing of it: whatever comes in whatever order, both tell the same.

mod small_facility;

use std::collections::BTreeMap;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::rule::Rule;
use _native::snapshot;
use proptest::prelude::*;
use serde_json::json;
use small_facility::{batch, config, sensor, tick, told, FACILITY, S, START_US};

const RE_ALARM_S: i64 = 40;

#[derive(Debug, Clone)]
enum Step {
    Reading(&'static str),
    Tick,
    Command { name: &'static str, rule: &'static str, for_s: i64, again: bool },
    Rules { high: bool, latched: bool, re_alarm: bool },
    Restore,
}

/// The memories of one alarm, as the design has them.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    is_on: bool,
    latches: bool,
    re_alarm_s: Option<i64>,
    active: bool,
    unacknowledged: bool,
    latched: bool,
    /// Strength and end of what keeps it from people.
    hold: Option<(usize, Option<i64>)>,
    assignee: bool,
    due_s: Option<i64>,
    /// When it last began, ended or was given back to people while it was true.
    since_s: i64,
}

const HOLDS: [(&str, &str, &str, &str); 3] = [
    ("shelve", "unshelve", "shelved", "unshelved"),
    ("suppress", "unsuppress", "suppressed", "unsuppressed"),
    ("out_of_service", "return_to_service", "out_of_service", "in_service"),
];

impl Model {
    fn new() -> Self {
        Self {
            is_on: true,
            latches: false,
            re_alarm_s: None,
            active: false,
            unacknowledged: false,
            latched: false,
            hold: None,
            assignee: false,
            due_s: None,
            since_s: 0,
        }
    }

    fn announce(&mut self) -> &'static str {
        (self.unacknowledged, self.due_s) = (true, None);
        "activated"
    }

    fn reading(&mut self, now_s: i64, is_violated: bool, is_clear: bool) -> Vec<&'static str> {
        let mut says = Vec::new();
        if self.is_on && !self.active && is_violated {
            (self.active, self.since_s) = (true, now_s);
            says.push(if self.hold.is_some() { "activated_silently" } else { self.announce() });
        } else if self.is_on && self.active && is_clear {
            (self.active, self.since_s) = (false, now_s);
            says.push("returned");
        }
        self.latched |= self.is_on && self.active && self.latches;
        says
    }

    fn let_go(&mut self, strength: usize, now_s: i64) -> Vec<&'static str> {
        self.hold = None;
        let news = if self.active { Some(self.announce()) } else { None };
        self.since_s = if self.active { now_s } else { self.since_s };
        std::iter::once(HOLDS[strength].3).chain(news).collect()
    }

    fn command(&mut self, name: &str, now_s: i64, for_s: i64) -> Vec<&'static str> {
        match name {
            "acknowledge" if self.unacknowledged => {
                self.unacknowledged = false;
                vec!["acknowledged"]
            }
            "comment" => vec!["commented"],
            "assign" if !self.assignee => {
                self.assignee = true;
                vec!["assigned"]
            }
            "reset" if self.latched && !self.active => {
                self.latched = false;
                vec!["reset"]
            }
            name => {
                for (strength, (begin, end, begun, _)) in HOLDS.iter().enumerate() {
                    let until = (*begin != "suppress").then_some(now_s + for_s);
                    if name == *begin && self.hold.is_none_or(|(present, _)| present <= strength) {
                        self.hold = Some((strength, until));
                        return vec![begun];
                    }
                    if name == *end && self.hold.is_some_and(|(present, _)| present == strength) {
                        return self.let_go(strength, now_s);
                    }
                }
                vec![]
            }
        }
    }

    fn tick(&mut self, now_s: i64) -> Vec<&'static str> {
        if let Some((strength, Some(until))) = self.hold {
            if until <= now_s {
                return self.let_go(strength, now_s);
            }
        }
        let Some(wait) = self.re_alarm_s.filter(|_| self.active && self.unacknowledged && self.hold.is_none()) else {
            self.due_s = None;
            return vec![];
        };
        match self.due_s {
            Some(due) if due > now_s => vec![],
            due => {
                self.due_s = Some(now_s + wait);
                if due.is_some() {
                    vec!["re_alarmed"]
                } else {
                    vec![]
                }
            }
        }
    }

    fn rules(&mut self, is_on: bool, latches: bool, re_alarm_s: Option<i64>) -> Vec<&'static str> {
        (self.is_on, self.latches, self.re_alarm_s) = (is_on, is_on && latches, re_alarm_s.filter(|_| is_on));
        if !is_on && std::mem::replace(&mut self.active, false) {
            return vec!["returned"];
        }
        vec![]
    }

    fn shown_as(&self) -> &'static str {
        match (self.hold, self.active, self.unacknowledged, self.latched) {
            (Some((strength, _)), ..) => ["shelved", "by_design", "out_of_service"][strength],
            (None, true, true, _) => "unacknowledged",
            (None, true, false, _) => "acknowledged",
            (None, false, _, true) => "latched",
            (None, false, true, false) => "returned_unacknowledged",
            (None, false, false, false) => "normal",
        }
    }
}

/// A gas detector of which only the limits speak.
fn rules_entry(high: bool, latched: bool, re_alarm: bool) -> Vec<u8> {
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    gas["rules"] = json!([
        {"rule": "anomaly", "enabled": false},
        {"rule": "stale", "enabled": false},
        {"rule": "bad_value", "enabled": false},
        {"rule": "clock", "enabled": false},
        {"rule": "high", "enabled": high, "latched": latched, "re_alarm_s": re_alarm.then_some(RE_ALARM_S)},
    ]);
    config(1, &[gas])
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop_oneof![3 => Just("15"), 4 => Just("25"), 1 => Just("19.9"), 2 => Just("5"), 1 => Just("10.1"), 1 => Just("NaN")];
    let name = prop_oneof![
        2 => Just("acknowledge"), 1 => Just("comment"), 1 => Just("assign"), 2 => Just("reset"), 2 => Just("shelve"), 1 => Just("unshelve"),
        1 => Just("suppress"), 1 => Just("unsuppress"), 1 => Just("out_of_service"), 1 => Just("return_to_service"),
    ];
    let rule = prop_oneof![4 => Just("high"), 1 => Just("low")];
    prop_oneof![
        8 => text.prop_map(Step::Reading),
        5 => Just(Step::Tick),
        8 => (name, rule, 1..60i64, prop::bool::weighted(0.2))
            .prop_map(|(name, rule, for_s, again)| Step::Command { name, rule, for_s, again }),
        1 => any::<(bool, bool, bool)>().prop_map(|(high, latched, re_alarm)| Step::Rules { high: high || latched, latched, re_alarm }),
        1 => Just(Step::Restore),
    ]
}

type Told = Vec<(&'static str, &'static str, i64)>;

proptest! {
    #![proptest_config(small_facility::cases(10_000))]

    #[test]
    fn the_core_tells_what_the_model_tells(steps in prop::collection::vec((step(), 1..25i64), 1..30)) {
        let mut core = Core::new(FACILITY, Settings::default());
        let mut replayed = Core::new(FACILITY, Settings::default());
        let begin = rules_entry(true, false, false);
        core.apply(EntryKind::Config, &begin).unwrap();
        replayed.replay(EntryKind::Config, &begin).unwrap();
        let mut models = BTreeMap::from([("high", Model::new()), ("low", Model::new())]);
        let (mut now_s, mut newest_s, mut last_command) = (0, None, None);
        for (number, (step, wait_s)) in steps.iter().enumerate() {
            now_s += wait_s;
            let mut expected: Told = Vec::new();
            let (kind, payload) = match step {
                Step::Restore => {
                    let state = snapshot::save(&core);
                    core = snapshot::load(FACILITY, &state, Settings::default()).unwrap();
                    prop_assert_eq!(snapshot::save(&core), state);
                    continue;
                }
                Step::Reading(text) => {
                    if let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) {
                        for (rule, is_violated, is_clear) in [("low", value < 10.0, value >= 10.2), ("high", value > 20.0, value <= 19.8)] {
                            let says = models.get_mut(rule).unwrap().reading(now_s, is_violated, is_clear);
                            expected.extend(says.into_iter().map(|name| (rule, name, now_s)));
                        }
                    }
                    newest_s = Some(now_s);
                    (EntryKind::Batch, batch(&[("g", now_s, *text)], now_s))
                }
                Step::Tick => {
                    for rule in ["low", "high"] {
                        let says = models.get_mut(rule).unwrap().tick(now_s);
                        expected.extend(says.into_iter().map(|name| (rule, name, now_s)));
                    }
                    (EntryKind::Tick, tick(now_s))
                }
                Step::Rules { high, latched, re_alarm } => {
                    let model = models.get_mut("high").unwrap();
                    let says = model.rules(*high, *latched, re_alarm.then_some(RE_ALARM_S));
                    model.since_s = if says.is_empty() { model.since_s } else { newest_s.unwrap_or(0).max(model.since_s) };
                    expected.extend(says.into_iter().map(|name| ("high", name, model.since_s)));
                    (EntryKind::Config, rules_entry(*high, *latched, *re_alarm))
                }
                Step::Command { again: true, .. } if last_command.is_some() => (EntryKind::Command, last_command.clone().unwrap()),
                Step::Command { name, rule, for_s, .. } => {
                    let model = models.get_mut(rule).unwrap();
                    let payload = json!({
                        "command_id": format!("c{number}"), "at_us": START_US + now_s * S, "actor": "user:1", "command": name,
                        "alarm_key": format!("2:{rule}"), "reason": "so", "assignee": "Ada", "until_us": START_US + (now_s + for_s) * S,
                    });
                    let payload = payload.to_string().into_bytes();
                    if !model.is_on && model.shown_as() == "normal" {
                        prop_assert!(core.apply(EntryKind::Command, &payload).is_err(), "there is no such alarm");
                        prop_assert!(replayed.replay(EntryKind::Command, &payload).is_err());
                        continue;
                    }
                    expected.extend(model.command(name, now_s, *for_s).into_iter().map(|name| (*rule, name, now_s)));
                    last_command = Some(payload.clone());
                    (EntryKind::Command, payload)
                }
            };
            let effects = core.apply(kind, &payload).unwrap();
            replayed.replay(kind, &payload).unwrap();
            prop_assert_eq!(told(&effects), expected, "{:?} at {}", step, now_s);
            for (rule, model) in &models {
                let alarm = core.sensors[0].alarms.get(Rule::find(rule).unwrap());
                prop_assert_eq!(alarm.shown_as(), model.shown_as(), "{} after {:?}", rule, step);
                let memories = (alarm.active, !alarm.acknowledged, alarm.latched, alarm.assignee.is_some());
                prop_assert_eq!(memories, (model.active, model.unacknowledged, model.latched, model.assignee));
            }
        }
        prop_assert_eq!(snapshot::save(&core), snapshot::save(&replayed), "a replay is the same change of state");
    }
}
