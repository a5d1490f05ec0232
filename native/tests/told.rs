//! What the core says of its alarms is what its own journal says, in whatever order readings are delivered.

mod small_facility;

use std::collections::BTreeMap;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::rule::Rule;
use _native::snapshot;
use proptest::prelude::*;
use serde_json::json;
use small_facility::{batch, config, core, sensor, tick, FACILITY, S, START_US};

/// As `alarms` in the database keeps it: active, and the event time of the last activation or return.
#[derive(Default)]
struct Journal(BTreeMap<(i32, Rule), (bool, i64)>);

impl Journal {
    fn apply(&mut self, core: &mut Core, kind: EntryKind, payload: &[u8]) {
        for event in core.apply(kind, payload).unwrap().events.iter().filter(|event| !event.late) {
            if matches!(event.transition, "activated" | "activated_silently" | "returned") {
                let key = (event.sensor_no.unwrap(), event.rule);
                self.0.insert(key, (event.transition != "returned", event.event_time_us));
            }
        }
    }

    /// What is otherwise in the core.
    fn differences(&self, core: &Core) -> Vec<String> {
        let sensors = core.sensors.iter();
        let alarms: BTreeMap<_, _> = sensors
            .flat_map(|sensor| sensor.alarms.iter_told().map(|(rule, alarm)| ((sensor.no, rule), alarm)))
            .map(|(key, alarm)| (key, (alarm.active, alarm.since_us)))
            .collect();
        let otherwise = alarms.iter().filter_map(|(key, says)| {
            // what the journal has no row of is normal, since whenever
            let told = self.0.get(key).copied().unwrap_or((false, says.1));
            (*says != told).then(|| format!("{key:?} is {says:?}, the journal has {told:?}"))
        });
        let is_forgotten = |(key, told): &(&_, &(bool, i64))| told.0 && !alarms.contains_key(*key);
        let forgotten = self.0.iter().filter(is_forgotten);
        otherwise.chain(forgotten.map(|(key, told)| format!("{key:?} is unknown, the journal has {told:?}"))).collect()
    }
}

fn resumed(core: &Core) -> Core {
    snapshot::load(FACILITY, &snapshot::save(core), Settings::default()).unwrap()
}

/// A gas detector of which people want to know all that a rule can say.
fn watched() -> Core {
    let mut core = core();
    let mut gas = sensor("g", 2, "GasDetection", "Active");
    gas["detection"] = json!({"physical_low": 0.0, "physical_high": 100.0});
    gas["rules"] = json!([
        {"rule": "high", "on_delay_s": 5, "off_delay_s": 20},
        {"rule": "rate_of_change", "limit": 5, "window_s": 60},
        {"rule": "stuck", "window_s": 60},
    ]);
    core.apply(EntryKind::Config, &config(2, &[gas])).unwrap();
    core
}

#[test]
fn a_late_reading_that_shows_another_beginning_moves_no_row_of_the_journal() {
    let (mut core, mut journal) = (core(), Journal::default());
    journal.apply(&mut core, EntryKind::Batch, &batch(&[("g", 10, "15"), ("g", 30, "25")], 30));
    journal.apply(&mut core, EntryKind::Batch, &batch(&[("g", 20, "25")], 31));
    let alarm = |core: &Core| core.sensors[1].alarms.get(Rule::High).since_us;
    assert_eq!(alarm(&core), START_US + 20 * S, "it began earlier than was told");
    let told = |core: &Core| {
        let found = core.sensors[1].alarms.iter_told().find(|(rule, _)| *rule == Rule::High);
        found.map(|(_, alarm)| (alarm.active, alarm.since_us))
    };
    assert_eq!(told(&core), Some((true, START_US + 30 * S)));
    assert_eq!(told(&resumed(&core)), told(&core));
    assert_eq!(journal.differences(&core), [""; 0]);
}

type Row = (&'static str, i64, &'static str);

/// Seconds to wait, and what happens then: readings of now, of a little before, or of long ago; a tick; somebody.
#[derive(Debug, Clone)]
enum Happening {
    Readings(Vec<Row>),
    Tick,
    Status(&'static str),
    Command(&'static str, &'static str),
}

fn happening() -> impl Strategy<Value = Happening> {
    let text = prop_oneof![4 => Just("15"), 4 => Just("25"), 1 => Just("19.9"), 1 => Just("-5"), 1 => Just("Bad")];
    let back_s = prop_oneof![4 => 0..20i64, 2 => 0..400i64, 1 => 3_000..3_600i64];
    let row = (prop_oneof![1 => Just("t"), 3 => Just("g")], back_s, text);
    let status = prop_oneof![1 => Just("Inactive"), 3 => Just("Active")];
    let name = prop_oneof![Just("shelve"), Just("unshelve"), Just("acknowledge")];
    let key = prop_oneof![Just("2:high"), Just("2:stale"), Just("2:rate_of_change"), Just("2:bad_value")];
    prop_oneof![
        8 => prop::collection::vec(row, 1..9).prop_map(Happening::Readings),
        4 => Just(Happening::Tick),
        1 => status.prop_map(Happening::Status),
        2 => (name, key).prop_map(|(name, key)| Happening::Command(name, key)),
    ]
}

proptest! {
    #![proptest_config(small_facility::cases(128))]

    #[test]
    fn alarms_are_as_the_journal_has_them(life in prop::collection::vec((0..30i64, happening()), 1..40)) {
        let (mut core, mut journal) = (watched(), Journal::default());
        let mut now_s = 4_000;
        for (number, (wait_s, happening)) in life.into_iter().enumerate() {
            now_s += wait_s;
            let (kind, payload) = match happening {
                Happening::Readings(rows) => {
                    let rows: Vec<Row> = rows.into_iter().map(|(id, back_s, text)| (id, now_s - back_s, text)).collect();
                    (EntryKind::Batch, batch(&rows, now_s))
                }
                Happening::Tick => (EntryKind::Tick, tick(now_s)),
                Happening::Status(status) => {
                    let mut change = json!({"version": 3 + number, "sensors": [sensor("g", 2, "GasDetection", status)]});
                    change["at_us"] = (START_US + now_s * S).into();
                    (EntryKind::Config, change.to_string().into_bytes())
                }
                Happening::Command(command, alarm_key) => {
                    let (at_us, until_us) = (START_US + now_s * S, START_US + (now_s + 60) * S);
                    let asked = json!({
                        "command_id": format!("c-{number}"), "at_us": at_us, "actor": "user:7", "command": command,
                        "alarm_key": alarm_key, "reason": "because", "until_us": until_us,
                    });
                    if core.clone().apply(EntryKind::Command, asked.to_string().as_bytes()).is_err() {
                        continue; // the rule is not wanted any more
                    }
                    (EntryKind::Command, asked.to_string().into_bytes())
                }
            };
            journal.apply(&mut core, kind, &payload);
            prop_assert_eq!(journal.differences(&core), [""; 0]);
            core = resumed(&core);
        }
    }
}
