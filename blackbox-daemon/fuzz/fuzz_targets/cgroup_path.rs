//! Any path of a cgroup: it is some place, and what is said of it is about that path.

#![no_main]

use blackbox_daemon::identity::Place;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &[u8]| {
    let path = String::from_utf8_lossy(path);
    let place = Place::of(&path);
    for part in [place.container_id(), place.short_id()]
        .into_iter()
        .flatten()
    {
        assert!(path.contains(part), "{part}");
    }
    if let Some(id) = place.container_id() {
        assert!(place.is_container(id));
    }
    assert!(!place.describe().is_empty());
});
