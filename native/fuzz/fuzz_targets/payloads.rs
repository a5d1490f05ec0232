//! Any bytes as batch, config, tick or command (the first byte says which): applied, or refused and nothing has changed.
#![no_main]

use _native::entry::EntryKind;
use _native::snapshot;
use gasinsight_native_fuzz::{checked, facility};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|entry: &[u8]| {
    let Some((kind, payload)) = entry.split_first() else { return };
    let kind = [EntryKind::Batch, EntryKind::Config, EntryKind::Tick, EntryKind::Command][usize::from(kind % 4)];
    let (mut applied, mut replayed) = (facility(), facility());
    for _ in 0..2 {
        let before = snapshot::save(&applied);
        let is_applied = applied.apply(kind, payload).is_ok();
        assert!(is_applied || snapshot::save(&applied) == before, "refused, and yet something changed");
        assert_eq!(replayed.replay(kind, payload).is_ok(), is_applied);
    }
    assert_eq!(snapshot::save(&checked(&applied)), snapshot::save(&replayed));
});
