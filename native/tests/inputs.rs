//! Whatever a sensor sends: no panic, no score that is not finite, no more memory than promised, and the same answers
//! whether readings come one by one, at once, or across a snapshot.

mod small_facility;

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::snapshot;
use proptest::prelude::*;
use small_facility::{batch, cases, config, sensor, tuples, FACILITY, START_US};

/// What a detector may take, the views and all.
const SCORER_BYTES_MAX: usize = 4096;
const SENSORS: [&str; 3] = ["free", "limited", "level"];

/// What a stretch of readings is like.
#[derive(Debug, Clone, Copy)]
enum Habit {
    Constant,
    Alternating,
    Rising,
    Falling,
    /// Smooth, then as far out as numbers go.
    Sine,
    Tiny,
    Huge,
    Words,
    AnyBits(u64),
}

#[derive(Debug, Clone, Copy)]
enum Clock {
    Steady,
    Standing,
    Backwards,
    Leaping(i64),
}

type Stretch = (Habit, Clock, usize);

fn text(habit: Habit, step: usize) -> String {
    let at = step as f64;
    match habit {
        Habit::Constant => "7.5".to_owned(),
        Habit::Alternating => ["-3", "1e9"][step % 2].to_owned(),
        Habit::Rising => (at * 1.5).to_string(),
        Habit::Falling => (-at * at * 1e20).to_string(),
        Habit::Sine => format!("{:.2}", 20.0 + (at / 9.0).sin()),
        Habit::Tiny => (f64::from_bits(1 + step as u64 % 5) * [1.0, -1.0][step % 2]).to_string(),
        Habit::Huge => ["1e300", "-1e300", "1.7976931348623157e308", "1e30"][step % 4].to_owned(),
        Habit::Words => ["NaN", "inf", "-Infinity", "open", "1e999", "", "-0"][step % 7].to_owned(),
        Habit::AnyBits(seed) => {
            f64::from_bits(seed.wrapping_mul(2 * step as u64 + 1).rotate_left(step as u32 % 64)).to_string()
        }
    }
}

/// The readings of a life, in order of arrival.
fn readings(stretches: &[Stretch]) -> Vec<(&'static str, i64, String)> {
    let (mut at_s, mut rows) = (0i64, Vec::new());
    for (number, (habit, clock, count)) in stretches.iter().enumerate() {
        for step in 0..*count {
            at_s += match clock {
                Clock::Steady => 15,
                Clock::Standing => 0,
                Clock::Backwards => -15,
                Clock::Leaping(by) if step == 0 => *by,
                Clock::Leaping(_) => 15,
            };
            at_s = at_s.clamp(-START_US / 1_000_000, 100 * 365 * 86_400);
            rows.push((SENSORS[(step + number) % SENSORS.len()], at_s, text(*habit, step)));
        }
    }
    rows
}

fn life() -> impl Strategy<Value = Vec<(&'static str, i64, String)>> {
    let habit = prop_oneof![
        1 => Just(Habit::Constant),
        1 => Just(Habit::Alternating),
        1 => Just(Habit::Rising),
        1 => Just(Habit::Falling),
        3 => Just(Habit::Sine),
        1 => Just(Habit::Tiny),
        1 => Just(Habit::Huge),
        1 => Just(Habit::Words),
        2 => any::<u64>().prop_map(Habit::AnyBits),
    ];
    let clock = prop_oneof![
        6 => Just(Clock::Steady),
        1 => Just(Clock::Standing),
        1 => Just(Clock::Backwards),
        2 => (-40_000_000..400_000_000i64).prop_map(Clock::Leaping),
    ];
    // long enough that views have left their first readings
    let stretch = (habit, clock, prop_oneof![3 => 1..40usize, 2 => 1_000..1_600usize]);
    prop::collection::vec(stretch, 1..7).prop_map(|stretches| readings(&stretches))
}

fn facility() -> Core {
    let mut core = Core::new(FACILITY, Settings::default());
    let types = ["CompressorStatus", "Temperature", "LevelIndicator"];
    let sensors: Vec<_> = SENSORS
        .iter()
        .zip(types)
        .enumerate()
        .map(|(no, (id, kind))| sensor(id, no as i32 + 1, kind, "Active"))
        .collect();
    core.apply(EntryKind::Config, &config(1, &sensors)).unwrap();
    core
}

fn check(core: &Core, copy_rows: &[u8]) -> Result<(), TestCaseError> {
    for tuple in tuples(copy_rows) {
        prop_assert!(tuple.score.is_none_or(|score| score.is_finite() && score >= 0.0), "{tuple:?}");
    }
    for sensor in &core.sensors {
        let bytes = sensor.scorer.bytes();
        prop_assert!(bytes <= SCORER_BYTES_MAX, "{}: {bytes} bytes", sensor.id);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn any_life_is_scored_the_same_in_any_portions(rows in life(), cut: prop::sample::Index) {
        let (mut at_once, mut single, mut resumed) = (facility(), facility(), facility());
        let whole = at_once.apply(EntryKind::Batch, &batch(&rows, 0)).unwrap();
        check(&at_once, &whole.copy_rows)?;
        let mut copy_rows = Vec::new();
        for row in &rows {
            copy_rows.extend(single.apply(EntryKind::Batch, &batch(std::slice::from_ref(row), 0)).unwrap().copy_rows);
        }
        prop_assert!(copy_rows == whole.copy_rows, "one by one gives other rows");
        let (before, after) = rows.split_at(cut.index(rows.len()));
        let mut halves = resumed.apply(EntryKind::Batch, &batch(before, 0)).unwrap().copy_rows;
        resumed = snapshot::load(FACILITY, &snapshot::save(&resumed), Settings::default()).unwrap();
        halves.extend(resumed.apply(EntryKind::Batch, &batch(after, 0)).unwrap().copy_rows);
        prop_assert!(halves == whole.copy_rows, "a snapshot after {} readings gives other rows", before.len());
        let state = snapshot::save(&at_once);
        prop_assert!(state == snapshot::save(&single) && state == snapshot::save(&resumed));
    }

    #[test]
    fn late_and_repeated_readings_teach_nothing(rows in life()) {
        let mut core = facility();
        core.apply(EntryKind::Batch, &batch(&rows, 0)).unwrap();
        let scorers: Vec<_> = core.sensors.iter().map(|sensor| sensor.scorer.clone()).collect();
        let again = core.apply(EntryKind::Batch, &batch(&rows, 0)).unwrap();
        check(&core, &again.copy_rows)?;
        prop_assert!(core.sensors.iter().map(|sensor| &sensor.scorer).eq(&scorers));
    }
}
