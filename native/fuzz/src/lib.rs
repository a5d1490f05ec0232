//! A facility for the targets, and what must hold of it whatever it was given.

use _native::config::Settings;
use _native::core::Core;
use _native::entry::EntryKind;
use _native::snapshot;

pub const FACILITY: &str = "plant";
pub const SENSORS: [&str; 4] = ["free", "limited", "level", "counter"];
/// What a detector may take, the views and all.
pub const SCORER_BYTES_MAX: usize = 4096;

/// Four sensors, of types with limits and without.
pub fn facility() -> Core {
    let mut core = Core::new(FACILITY, Settings::default());
    let upsert = |(no, (id, kind)): (usize, (&str, &str))| {
        format!(
            r#"{{"op":"upsert","sensor_id":"{id}","sensor_no":{},"type":"{kind}","expected_interval_s":15,"status":"Active"}}"#,
            no + 1
        )
    };
    let types = ["CompressorStatus", "Temperature", "LevelIndicator", "Volume"];
    let sensors: Vec<String> = SENSORS.into_iter().zip(types).enumerate().map(upsert).collect();
    let config = format!(r#"{{"version":1,"sensors":[{}]}}"#, sensors.join(","));
    core.apply(EntryKind::Config, config.as_bytes()).expect("a config of ours");
    core
}

/// The newest scores are numbers, and a snapshot and back gives the same snapshot. Returns the core that came back.
pub fn checked(core: &Core) -> Core {
    for sensor in &core.sensors {
        let score = sensor.newest.as_ref().and_then(|newest| newest.score);
        assert!(score.is_none_or(|score| score.is_finite() && score >= 0.0), "{}: {score:?}", sensor.id);
    }
    let state = snapshot::save(core);
    let again = snapshot::load(&core.facility_id, &state, core.settings.clone()).expect("a snapshot of ours");
    assert_eq!(snapshot::save(&again), state);
    again
}
