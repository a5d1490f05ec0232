//! Any bytes with a right checksum where a snapshot should be: an answer, and a core that goes on without a panic.
#![no_main]

use _native::batch::BatchBuilder;
use _native::config::Settings;
use _native::entry::EntryKind;
use _native::number::Datum;
use _native::snapshot;
use gasinsight_native_fuzz::{FACILITY, SENSORS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut state = body.to_vec();
    state.extend(crc32fast::hash(body).to_le_bytes());
    let Ok(mut core) = snapshot::load(FACILITY, &state, Settings::default()) else { return };
    let again = snapshot::save(&core);
    let same = snapshot::load(FACILITY, &again, Settings::default()).expect("a snapshot of ours");
    assert_eq!(snapshot::save(&same), again);
    let newest = core.sensors.iter().filter_map(|sensor| sensor.newest.as_ref()).map(|newest| newest.tracked_at_us);
    let start_us = newest.max().unwrap_or(0).clamp(0, 7_000_000_000_000_000);
    let mut builder = BatchBuilder::new(FACILITY, start_us);
    for step in 0..40 {
        builder.push(
            SENSORS[step % SENSORS.len()],
            start_us + step as i64 * 5_000_000,
            Datum::of(["20.5", "1e300", "21", "x"][step % 4]),
        );
    }
    core.apply(EntryKind::Batch, &builder.encode()).expect("a batch of ours");
    core.apply(EntryKind::Tick, br#"{"watermark_us":7000000000000000}"#).expect("a tick of ours");
});
