//! Any body of `POST /api/v1/incident`: what is accepted gets a report, and the report can be written in every format.

#![no_main]

use std::time::Duration;

use blackbox_daemon::api::auth::{Caller, ProvenPod, Scope};
use blackbox_daemon::api::submit::incident::parse;
use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::incident::{self, trigger::Rules};
use blackbox_daemon::record::{BootTime, Event, Record, Subject};
use blackbox_daemon::recorder::{Config, Core};
use blackbox_daemon::report::NodeInfo;
use blackbox_daemon::report::build::build;
use blackbox_daemon::report::format::Format;
use blackbox_daemon::window;
use libfuzzer_sys::fuzz_target;

const NOW: BootTime = BootTime(1_000_000_000_000);
const SETTLE: Duration = Duration::from_secs(2);

fn core() -> Core {
    let config = Config {
        window: Duration::from_secs(60),
        storage: window::Config::default(),
        incidents: incident::Config {
            settle: SETTLE,
            throttle: Duration::from_secs(60),
        },
        rules: Rules::default(),
        node: NodeInfo::default(),
    };
    Core::new(config, [])
}

fn caller(pod: Option<ProvenPod>) -> Caller {
    Caller {
        name: "fuzz".to_owned(),
        scopes: vec![Scope::Telemetry],
        pod,
    }
}

fuzz_target!(|body: &[u8]| {
    let proven = ProvenPod {
        namespace: "shop".to_owned(),
        name: "checkout".to_owned(),
        uid: "u-1".to_owned(),
    };
    if let Ok(own) = parse(body, &caller(Some(proven))) {
        let pod = own.pod.expect("a pod speaks of itself");
        assert_eq!(pod.to_string(), "shop/checkout");
    }
    let Ok(mut reported) = parse(body, &caller(None)) else {
        return;
    };
    reported.submission.received = NOW;
    if reported.id.is_empty() {
        "manual-1".clone_into(&mut reported.id);
    }
    let mut core = core();
    let record = Record {
        at: NOW,
        subject: Subject::Pod,
        event: Event::Reported(Box::new(reported)),
    };
    core.take(&record, NOW, WallOffset::from_nanos(0));
    let cases = core.turn(NOW.plus(SETTLE * 20), WallOffset::from_nanos(0), true);
    assert_eq!(cases.len(), 1, "one report");
    let report = build(&cases[0]);
    for format in Format::ALL {
        let document = format.render(&report).expect("every report renders");
        assert!(std::str::from_utf8(&document).is_ok(), "reports are UTF-8");
    }
});
