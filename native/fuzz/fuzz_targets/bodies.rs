//! Any bytes as bodies of messages (a zero byte ends one): each is refused or gives rows, which go through a core.
#![no_main]

use std::collections::BTreeMap;

use _native::config::Settings;
use _native::core::Core;
use _native::decode::decode;
use _native::entry::EntryKind;
use gasinsight_native_fuzz::{checked, facility, FACILITY};
use libfuzzer_sys::fuzz_target;

const NOW_US: i64 = 1_767_225_600_000_000;

/// What the Arrow reader cannot bear it answers with a panic, which `decode` catches; every other one is ours.
fn abort_on_panics_of_ours() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|location| location.file().contains("/arrow-")) {
            tell(panic);
        }
    }));
}

fuzz_target!(init: abort_on_panics_of_ours(), |data: &[u8]| {
    // an Arrow stream has zero bytes of its own
    let bodies: Vec<&[u8]> =
        if data.starts_with(b"\xff\xff\xff\xff") { vec![data] } else { data.split(|byte| *byte == 0).collect() };
    let decoded = decode(bodies.iter().copied(), NOW_US, 300_000_000);
    let mut heard: Vec<u32> = decoded.refused.iter().map(|refusal| refusal.message).collect();
    let mut cores = BTreeMap::from([(FACILITY.to_owned(), facility())]);
    for part in &decoded.facilities {
        let id = part.builder.facility_id();
        let core = cores.entry(id.to_owned()).or_insert_with(|| Core::new(id, Settings::default()));
        let effects = core.apply(EntryKind::Batch, &part.builder.encode()).expect("a batch that was decoded");
        assert_eq!(effects.counts.rows + effects.counts.unknown, part.builder.rows());
        heard.extend(&part.messages);
        checked(core);
    }
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), bodies.len(), "a body that nobody heard of");
});
