//! Any body of `POST /api/v1/telemetry`: what is accepted is in the window as it was sent, and makes as many entries as
//! were answered.

#![no_main]

use blackbox_daemon::api::auth::{Caller, Scope};
use blackbox_daemon::api::submit::telemetry::{Parsed, parse};
use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::identity::Names;
use blackbox_daemon::record::{BootTime, Event, LaneName, Record, Subject};
use blackbox_daemon::report::entries::project;
use blackbox_daemon::window::{Appended, Config, Window};
use libfuzzer_sys::fuzz_target;

const NOW: BootTime = BootTime(1_000_000_000_000);

fuzz_target!(|body: &[u8]| {
    let caller = Caller {
        name: "fuzz".to_owned(),
        scopes: vec![Scope::Telemetry],
        pod: None,
    };
    let Ok(parsed) = parse(body, &caller) else {
        return;
    };
    assert!(!parsed.is_empty(), "accepted and nothing in it");
    let mut window = Window::new(Config::default());
    let mut sent = Vec::new();
    for (number, Parsed { telemetry, entries }) in (1..).zip(parsed) {
        let mut telemetry = telemetry;
        telemetry.entry = number;
        telemetry.submission.received = NOW;
        let record = Record {
            at: NOW,
            subject: Subject::Pod,
            event: Event::Telemetry(Box::new(telemetry)),
        };
        let Appended::Kept(id) = window.append(&record, NOW) else {
            panic!("the window refuses what was accepted");
        };
        sent.push((id, record, entries));
    }
    let slice = window.slice(BootTime(0), BootTime(u64::MAX));
    let mut kept = slice.records(LaneName::Bulk);
    for (id, record, entries) in sent {
        let read = kept.next().expect("every record is read again");
        assert_eq!(read, (id, record));
        let made = project(id, &read.1, &Names::default(), WallOffset::from_nanos(0));
        assert_eq!(made.len(), entries, "entries as answered");
    }
    assert!(kept.next().is_none());
    assert_eq!(kept.malformed(), 0);
});
