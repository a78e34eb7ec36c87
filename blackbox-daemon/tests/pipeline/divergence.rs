//! A healthy run, then one of the same image that crashes: the report says where the second left the first one's way.

use blackbox_daemon::record::{
    CallCounts, CgroupId, Event, Exec, FailedCall, PodFacts, Process, Record, Subject,
};
use blackbox_daemon::report::case::Case;
use blackbox_daemon::report::format::Format;
use serde_json::Value;

use super::pods;
use super::support::{
    SETTLE, about, at, config, core, json, listed, main_exit, noted, process, render, take, wall,
};

/// The pods' uids and their containers' ids begin with the number of their cgroup.
const OLD: CgroupId = CgroupId(40);
const NEW: CgroupId = CgroupId(41);
/// When the second run starts, milliseconds.
const LATER: u64 = 100_000;

fn uid(cgroup: CgroupId) -> String {
    format!("{:08}-4b5a-6978-8796-a5b4c3d2e1f0", cgroup.0)
}

fn id(cgroup: CgroupId) -> String {
    format!("{:064}", cgroup.0)
}

fn facts(cgroup: CgroupId, digest: &str) -> PodFacts {
    let mut facts = pods::facts();
    facts.uid = uid(cgroup);
    facts.containers.truncate(1);
    facts.containers[0].id = Some(id(cgroup));
    facts.containers[0].image_digest = Some(digest.to_owned());
    facts
}

fn call(process: Process, ms: u64, path: &str) -> Record {
    let call = FailedCall {
        nr: 257,
        errno: 2,
        args: [0; 3],
        argument: Some(path.to_owned()),
        compat: false,
    };
    about(process, ms, Event::FailedCall(call))
}

/// A container of this image starts at `ms` and misses these files, one each 100 ms.
fn start(cgroup: CgroupId, ms: u64, digest: &str, missing: &[&str]) -> Vec<Record> {
    let path = format!("/kubepods/pod{}/{}", uid(cgroup), id(cgroup));
    let app = process(cgroup.0 as u32 + 300, "app", cgroup);
    let exec = Exec {
        parent: process(1, "shim", CgroupId(1)),
        exe: "/usr/bin/app".to_owned(),
    };
    let mut records = vec![
        noted(Subject::Cgroup(cgroup), ms, Event::CgroupCreated { path }),
        noted(
            Subject::Pod,
            ms + 1,
            Event::Pod(Box::new(facts(cgroup, digest))),
        ),
        about(app, ms + 50, Event::Exec(exec)),
    ];
    let calls = missing.iter().zip(1..);
    records.extend(calls.map(|(path, after)| call(app, ms + 100 * after, path)));
    records
}

/// What a recorder tells of a crash two seconds after the second run's start.
fn told(healthy: &[Record], crashing: &[Record]) -> Case {
    let mut core = core(config());
    take(&mut core, healthy);
    for ms in (0..LATER).step_by(1_000) {
        assert!(core.turn(at(ms), wall(), false).is_empty());
    }
    take(&mut core, crashing);
    let app = process(NEW.0 as u32 + 300, "app", NEW);
    let exit = about(app, LATER + 2_000, Event::Exit(main_exit(1)));
    let now = take(&mut core, &[exit]);
    let mut cases = core.turn(now.plus(SETTLE * 10), wall(), false);
    assert_eq!(cases.len(), 1);
    cases.remove(0)
}

fn divergence(healthy: &[Record], crashing: &[Record]) -> Value {
    let report = json(&told(healthy, crashing));
    let divergence = report["divergence"].clone();
    let known = listed(&report, "telemetry");
    for id in divergence["cites"].as_array().into_iter().flatten() {
        assert!(known.contains(id.as_str().expect("an id")), "{id}");
    }
    divergence
}

const IMAGE: &str = "sha256:11";
const HEALTHY: [&str; 3] = ["/etc/ld.so.preload", "/etc/app.d/17", "/tmp/a8s1"];

#[test]
fn a_new_failure_is_where_it_left_the_way() {
    let healthy = start(OLD, 10, IMAGE, &HEALTHY);
    let crashing = start(
        NEW,
        LATER,
        IMAGE,
        &["/etc/ld.so.preload", "/etc/app.yaml", "/etc/app.d/17"],
    );
    let told = divergence(&healthy, &crashing);
    assert_eq!(told["after"], "openat /etc/ld.so.preload → ENOENT");
    assert_eq!(told["here"], "openat /etc/app.yaml → ENOENT");
    assert_eq!(told["healthy"], "openat /etc/app.d/* → ENOENT");
    assert_eq!(
        told["kind"],
        "image sha256:11 as container app in namespace shop"
    );
    assert_eq!(told["healthy_started"], "2026-03-04T05:06:07.01Z");
    assert_eq!(told["cites"].as_array().map(Vec::len), Some(2), "{told:#}");
    assert_eq!(
        told["summary"],
        "after openat /etc/ld.so.preload → ENOENT this run had, 200.0 ms after its start: openat /etc/app.yaml → ENOENT; \
         the last healthy run (image sha256:11 as container app in namespace shop), begun 2026-03-04 05:06:07 UTC, went \
         on with openat /etc/app.d/* → ENOENT"
    );
}

#[test]
fn a_step_that_is_missing_counts_only_if_nothing_was_lost() {
    let healthy = start(OLD, 10, IMAGE, &HEALTHY);
    let mut crashing = start(NEW, LATER, IMAGE, &["/etc/ld.so.preload", "/tmp/zz"]);
    let told = divergence(&healthy, &crashing);
    assert_eq!(told["healthy"], "openat /etc/app.d/* → ENOENT");
    assert_eq!(told.get("here"), None);
    let counts = CallCounts {
        attempted: 9,
        throttled: 3,
        ..CallCounts::default()
    };
    crashing.push(noted(
        Subject::Cgroup(NEW),
        LATER + 300,
        Event::CallCounts(counts),
    ));
    assert_eq!(divergence(&healthy, &crashing), Value::Null);
}

#[test]
fn without_a_healthy_run_of_the_same_image_nothing_is_said() {
    let crashing = start(NEW, LATER, IMAGE, &["/etc/app.yaml"]);
    assert_eq!(divergence(&[], &crashing), Value::Null);
    let other = start(OLD, 10, "sha256:22", &HEALTHY);
    assert_eq!(divergence(&other, &crashing), Value::Null);
    // The same way, and then it crashes: there is no difference to tell.
    let healthy = start(OLD, 10, IMAGE, &HEALTHY);
    let same = start(NEW, LATER, IMAGE, &HEALTHY);
    assert_eq!(divergence(&healthy, &same), Value::Null);
}

#[test]
fn every_page_has_it() {
    let healthy = start(OLD, 10, IMAGE, &HEALTHY);
    let evil = "/etc/a\n# `b` | [r1]";
    let case = told(
        &healthy,
        &start(NEW, LATER, IMAGE, &["/etc/ld.so.preload", evil]),
    );
    for (format, line) in [
        (
            Format::Default,
            "\nDIVERGENCE: after openat /etc/ld.so.preload → ENOENT this run had",
        ),
        (
            Format::Markdown,
            "\n## First difference to the last healthy run\n\n- after openat",
        ),
        (
            Format::Brief,
            "\n- first difference: after openat /etc/ld.so.preload → ENOENT this run had",
        ),
    ] {
        let page = String::from_utf8(render(&case, format)).expect("UTF-8");
        assert!(page.contains(line), "{page}");
        assert!(!page.contains("\n# `b`"), "{page}");
    }
}
