//! Kinds of signals on simulated sensors: what a valve, a counter, a frozen gauge and a clock must and must not be called.
//! Ten seeds each; the counts are of seeds.

mod chance;

use _native::detector::{Reason, Score, Scorer, SignalKind, Tuning};
use chance::Chance;

const SEEDS: std::ops::Range<u64> = 1..11;
const S: i64 = 1_000_000;
const INTERVAL_S: i64 = 10;
const HOUR: i64 = 3_600 / INTERVAL_S;
const DAY: i64 = 24 * HOUR;

/// A number near `mean`.
fn around(chance: &mut Chance, mean: i64, share: f64) -> i64 {
    (mean as f64 * (1.0 + share * (2.0 * chance.uniform() - 1.0))) as i64
}

/// A sensor that is read every ten seconds, and what it was told to be.
#[derive(Default)]
struct Sensor {
    scorer: Scorer,
    readings: i64,
    alarms: Vec<(i64, Option<Reason>)>,
    kind: SignalKind,
}

impl Sensor {
    fn read(&mut self, value: f64) -> Score {
        self.readings += 1;
        self.read_at(self.readings * INTERVAL_S * S, value)
    }

    fn read_at(&mut self, at_us: i64, value: f64) -> Score {
        let score = self.scorer.observe(at_us, value, INTERVAL_S as f64, &Tuning::default());
        assert!(score.decades.is_none_or(f64::is_finite));
        if score.alarming {
            self.alarms.push((self.readings, score.reason));
        }
        self.kind = score.kind;
        score
    }

    fn rest(&mut self, value: f64, readings: i64) {
        for _ in 0..readings {
            self.read(value);
        }
    }

    /// How many readings after `from` an alarm of that reason came; none if none did.
    fn told(&self, reason: Reason, from: i64) -> Option<i64> {
        self.alarms.iter().find(|(at, why)| *at > from && *why == Some(reason)).map(|(at, _)| at - from)
    }
}

fn count(check: impl Fn(u64) -> bool) -> usize {
    SEEDS.filter(|seed| check(*seed)).count()
}

/// A valve that opens for about five minutes in every half hour, for three days.
fn valve(chance: &mut Chance) -> Sensor {
    let mut sensor = Sensor::default();
    while sensor.readings < 3 * DAY {
        sensor.rest(0.0, around(chance, 150, 0.3));
        sensor.rest(100.0, around(chance, 30, 0.3));
    }
    sensor
}

/// A tank valve that goes round three positions.
fn three_way(chance: &mut Chance) -> Sensor {
    let mut sensor = Sensor::default();
    while sensor.readings < 3 * DAY {
        [0.0, 1.0, 2.0].iter().for_each(|position| sensor.rest(*position, around(chance, 60, 0.3)));
    }
    sensor
}

#[test]
fn valves_that_do_what_they_do_are_not_called_faulty() {
    assert_eq!(count(|seed| valve(&mut Chance(seed)).alarms.is_empty()), 10);
    assert_eq!(count(|seed| three_way(&mut Chance(seed)).alarms.is_empty()), 10);
    assert_eq!(valve(&mut Chance(1)).kind, SignalKind::Levels);
}

#[test]
fn a_sequence_never_seen_is_rare() {
    let found = count(|seed| {
        let mut chance = Chance(seed);
        let mut sensor = three_way(&mut chance);
        let from = sensor.readings;
        sensor.rest(0.0, 60);
        sensor.rest(2.0, 60);
        sensor.told(Reason::RareMove, from) == Some(61)
    });
    assert_eq!(found, 10);
}

#[test]
fn what_has_not_moved_for_longer_than_the_budget_is_told_when_it_moves() {
    let told = |days: i64| {
        let mut sensor = Sensor::default();
        sensor.rest(0.0, days * DAY);
        sensor.rest(100.0, 10);
        sensor.told(Reason::RareMove, 0) == Some(days * DAY + 1)
    };
    assert_eq!((told(19), told(21)), (false, true));
}

#[test]
fn a_pump_that_runs_too_long_is_told_while_it_runs() {
    let found = count(|seed| {
        let mut sensor = valve(&mut Chance(seed));
        sensor.rest(0.0, 150);
        let from = sensor.readings;
        sensor.rest(100.0, 2 * HOUR);
        let after = sensor.told(Reason::LongDwell, from);
        after.is_some_and(|readings| (40..HOUR).contains(&readings))
    });
    assert_eq!(found, 10);
}

#[test]
fn a_valve_that_chatters_dwells_too_shortly() {
    let found = count(|seed| {
        let mut sensor = valve(&mut Chance(seed));
        sensor.rest(0.0, 150);
        let from = sensor.readings;
        (0..10).for_each(|step| sensor.rest(f64::from(1 - step % 2) * 100.0, 1));
        sensor.told(Reason::ShortDwell, from).is_some_and(|readings| readings < 10)
    });
    assert_eq!(found, 10);
}

/// A gas meter that has counted for three days, about five a reading and more by day.
fn meter(chance: &mut Chance, mut total: f64) -> (Sensor, f64) {
    let mut sensor = Sensor::default();
    while sensor.readings < 3 * DAY {
        total += step(chance, sensor.readings);
        sensor.read(total.floor());
    }
    (sensor, total)
}

fn step(chance: &mut Chance, reading: i64) -> f64 {
    let day = (reading as f64 / DAY as f64 * std::f64::consts::TAU).sin();
    (50.0 + 10.0 * day + 4.0 * chance.normal()).max(0.0)
}

/// Three days of a meter, then what `then` makes of the next hour's steps and totals: (sensor, first reading of it).
fn meter_then(seed: u64, begin: f64, then: impl Fn(i64, f64, &mut f64) -> f64) -> (Sensor, i64) {
    let mut chance = Chance(seed);
    let (mut sensor, mut total) = meter(&mut chance, begin);
    let from = sensor.readings;
    for reading in 0..HOUR {
        let step = step(&mut chance, sensor.readings);
        let value = then(reading, step, &mut total);
        sensor.read(value.floor());
    }
    (sensor, from)
}

#[test]
fn a_meter_is_judged_by_its_rate() {
    let quiet = count(|seed| {
        meter_then(seed, 0.0, |_, step, total| {
            *total += step;
            *total
        })
        .0
        .alarms
        .is_empty()
    });
    let faster = count(|seed| {
        let (sensor, from) = meter_then(seed, 0.0, |_, step, total| {
            *total += 3.0 * step;
            *total
        });
        sensor.told(Reason::CounterRate, from).is_some_and(|readings| readings < 30)
    });
    let stopped = count(|seed| {
        let (sensor, from) = meter_then(seed, 0.0, |_, _, total| *total);
        sensor.alarms.iter().any(|(at, _)| *at > from && *at < from + 60)
    });
    assert_eq!((quiet, faster, stopped), (10, 10, 10));
    assert_eq!(meter(&mut Chance(1), 0.0).0.kind, SignalKind::Counter);
}

#[test]
fn a_meter_may_roll_over_and_is_told_when_it_is_reset() {
    // three days of about fifty a reading: over a million on the way
    let rolled = count(|seed| {
        let mut chance = Chance(seed);
        let mut sensor = Sensor::default();
        let mut total = 500_000.0;
        while sensor.readings < 3 * DAY {
            total += step(&mut chance, sensor.readings);
            sensor.read(total.floor() % 1e6);
        }
        sensor.alarms.is_empty() && total > 1e6 && sensor.kind == SignalKind::Counter
    });
    let reset = count(|seed| {
        let then = |reading, step: f64, total: &mut f64| {
            *total = if reading == 100 { 0.0 } else { *total + step };
            *total
        };
        let (sensor, from) = meter_then(seed, 0.0, then);
        sensor.told(Reason::CounterReset, from) == Some(101) && sensor.alarms.len() == 1
    });
    assert_eq!((rolled, reset), (10, 10));
}

/// A pressure gauge with noise and a daily cycle, for a day and a half.
fn gauge(chance: &mut Chance) -> Sensor {
    let mut sensor = Sensor::default();
    while sensor.readings < DAY + DAY / 2 {
        let day = (sensor.readings as f64 / DAY as f64 * std::f64::consts::TAU).sin();
        sensor.read(((63.0 + day + 0.2 * chance.normal()) * 100.0).round() / 100.0);
    }
    sensor
}

#[test]
fn a_pressure_that_freezes_is_stuck_wherever_it_stands() {
    let found = |value: Option<f64>| {
        count(|seed| {
            let mut chance = Chance(seed);
            let mut sensor = gauge(&mut chance);
            let before = sensor.told(Reason::Stuck, 0);
            let from = sensor.readings;
            let last = sensor.read(63.0 + 0.2 * chance.normal()).expected;
            sensor.rest(value.unwrap_or((last * 100.0).round() / 100.0), HOUR);
            before.is_none() && sensor.told(Reason::Stuck, from).is_some_and(|readings| readings < 40)
        })
    };
    assert_eq!((found(None), found(Some(63.0))), (10, 10));
}

#[test]
fn a_slow_tank_with_a_coarse_gauge_is_not_stuck() {
    // to the decimetre: fills for six hours of the day, is used by day, rests at night
    let quiet = count(|seed| {
        let mut chance = Chance(seed);
        let (mut level, mut sensor) = (5.0, Sensor::default());
        while sensor.readings < 8 * DAY {
            let hour = sensor.readings % DAY / HOUR;
            level += match hour {
                0..=5 => 0.0,
                6..=11 => 0.0008 * (1.0 + 0.3 * chance.normal()),
                _ => -0.0004 * (1.0 + 0.3 * chance.normal()),
            };
            sensor.read(((level + 0.01 * chance.normal()) * 10.0).round() / 10.0);
        }
        !sensor.alarms.iter().any(|(_, reason)| reason.is_some())
    });
    assert_eq!(quiet, 10);
}

#[test]
fn a_clock_set_forward_and_stretches_that_are_missing_have_no_alarm_here() {
    let quiet = count(|seed| {
        let mut chance = Chance(seed);
        let mut sensor = gauge(&mut chance);
        sensor.alarms.clear();
        for gap in 0..20 {
            sensor.readings += if gap == 10 { 400 * DAY } else { around(&mut chance, HOUR, 0.9) };
            for reading in 0..HOUR {
                let day = (sensor.readings as f64 / DAY as f64 * std::f64::consts::TAU).sin();
                let score = sensor.read(((63.0 + day + 0.2 * chance.normal()) * 100.0).round() / 100.0);
                assert!(reading > 0 || score.decades.is_none() || score.reason == Some(Reason::Gap), "views rest");
            }
        }
        sensor.alarms.is_empty()
    });
    // eight sensor-days in all: the budget is not quite half an alarm
    assert!(quiet >= 9, "{quiet} of 10");
}

#[test]
fn a_clock_set_back_changes_nothing_until_it_has_caught_up() {
    let mut chance = Chance(7);
    let mut sensor = gauge(&mut chance);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    sensor.scorer.save(&mut before);
    let newest = sensor.readings;
    for back in (0..HOUR).rev() {
        let score = sensor.read_at((newest - back) * INTERVAL_S * S, 99.0);
        assert!(score.decades.is_none() && !score.calm);
    }
    sensor.scorer.save(&mut after);
    assert!(before == after);
    assert!(sensor.read(63.0).decades.is_some());
}
