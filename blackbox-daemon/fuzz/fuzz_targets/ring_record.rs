//! Any bytes from the kernel's rings: they are a record or they are not, and a record comes back from the window as it was.

#![no_main]

use blackbox_daemon::record::{BootTime, LaneName};
use blackbox_daemon::redact::Redactor;
use blackbox_daemon::sources::ebpf::decode::{class, decode};
use blackbox_daemon::window::{Appended, Config, Window};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(mut decoded) = decode(bytes, 4096) else {
        return;
    };
    assert_eq!(class(decoded.kind), decoded.record.event.class());
    Redactor::default().event(&mut decoded.record.event);
    let mut window = Window::new(Config::default());
    let now = BootTime(u64::MAX);
    let Appended::Kept(id) = window.append(&decoded.record, now) else {
        panic!("an empty window has room");
    };
    let slice = window.slice(BootTime(0), now);
    let lanes = [LaneName::Decisive, LaneName::Bulk];
    let found: Vec<_> = lanes.iter().flat_map(|lane| slice.records(*lane)).collect();
    assert_eq!(found, [(id, decoded.record)]);
});
