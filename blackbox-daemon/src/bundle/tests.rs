//! A bundle gives back what went in, the same report byte for byte, and nothing at all once anything in it was changed.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use super::{BLOCK, BULK, Bundle, CASE, Error, MANIFEST, Manifest, REPORT, add, pack};
use crate::clock::WallOffset;
use crate::identity::Identities;
use crate::incident::{self, trigger::Rules};
use crate::record::{
    BootTime, CgroupId, Comm, Event, Exit, FailedCall, Health, LaneName, Process, ProcessKey,
    Record, SourceName, SourceState, Subject, WaitStatus,
};
use crate::recorder::{self, Core};
use crate::report::build::build;
use crate::report::case::Case;
use crate::report::format::Format;
use crate::report::{FoundBy, Frame, NodeInfo, Stack};
use crate::window;

const OWN: CgroupId = CgroupId(10);
const OTHER: CgroupId = CgroupId(20);

fn process(pid: u32, cgroup: CgroupId) -> Process {
    let start = BootTime(u64::from(pid));
    Process {
        key: ProcessKey { tgid: pid, start },
        tid: pid,
        comm: Comm::from_text("app"),
        cgroup,
    }
}

fn call(at: u64, pid: u32, cgroup: CgroupId) -> Record {
    let event = Event::FailedCall(FailedCall {
        nr: 257,
        errno: 2,
        args: [0; 3],
        argument: Some(format!("/data/{at}")),
        compat: false,
    });
    let subject = Subject::Process(process(pid, cgroup));
    Record {
        at: BootTime(at),
        subject,
        event,
    }
}

fn config() -> recorder::Config {
    recorder::Config {
        window: Duration::from_secs(60),
        storage: window::Config::default(),
        incidents: incident::Config {
            settle: Duration::from_secs(2),
            throttle: Duration::from_secs(60),
        },
        rules: Rules::default(),
        node: NodeInfo::default(),
    }
}

/// The first process of a container ends with 1, among calls of its own and of a neighbour.
pub(crate) fn case() -> Case {
    let wall = WallOffset::from_nanos(1_700_000_000_000_000_000);
    let path = |id: char| format!("/docker-{}.scope", String::from(id).repeat(64));
    let mut core = Core::new(config(), [(OWN, path('a')), (OTHER, path('b'))]);
    let second = 1_000_000_000;
    let exit = Event::Exit(Exit {
        parent: process(1, CgroupId(1)),
        status: WaitStatus(1 << 8),
        killer: None,
        oom_victim: false,
        ns_pid: 1,
        ns_level: 1,
        peak_rss: None,
    });
    for (source, health) in [
        (SourceName::Ebpf, Health::Ok),
        (
            SourceName::Kube,
            Health::Disabled("no API server".to_owned()),
        ),
    ] {
        let event = Event::Source(SourceState { source, health });
        let at = BootTime(1);
        core.take(
            &Record {
                at,
                subject: Subject::Node,
                event,
            },
            at,
            wall,
        );
    }
    for at in 1..20 {
        for (pid, cgroup) in [(100, OWN), (200, OTHER)] {
            let record = call(at * second, pid, cgroup);
            core.take(&record, record.at, wall);
        }
    }
    let at = BootTime(20 * second);
    let subject = Subject::Process(process(100, OWN));
    core.take(
        &Record {
            at,
            subject,
            event: exit,
        },
        at,
        wall,
    );
    let mut case = core
        .turn(BootTime(60 * second), wall, true)
        .pop()
        .expect("a case");
    case.log = Some(Err("no pod".to_owned()));
    case.stack = Some(Stack {
        id: crate::record::RecordId(3),
        notes: Vec::new(),
        frames: vec![Frame {
            address: "0x10".to_owned(),
            function: Some("main".to_owned()),
            function_offset: None,
            source: None,
            module: None,
            build_id: None,
            file_offset: None,
            found_by: FoundBy::InstructionPointer,
        }],
    });
    case
}

fn packed(case: &Case) -> (Vec<u8>, Vec<u8>) {
    let report = build(case);
    let json = Format::Json.render(&report).unwrap();
    let mut bytes = Vec::new();
    pack(case, &report, &mut bytes).unwrap();
    (bytes, json)
}

#[test]
fn a_bundle_is_replayed_byte_for_byte() {
    let (bytes, json) = packed(&case());
    let bundle = Bundle::open(&bytes[..]).unwrap();
    assert_eq!(bundle.report_json(), json);
    let again = Format::Json
        .render(&build(&bundle.case().unwrap()))
        .unwrap();
    assert_eq!(String::from_utf8(again), String::from_utf8(json));
}

#[test]
fn the_calls_of_others_stay_where_they_were() {
    let (bytes, _) = packed(&case());
    let kept = Bundle::open(&bytes[..]).unwrap().case().unwrap();
    let calls = kept.slice.records(LaneName::Bulk);
    let cgroups: Vec<_> = calls
        .filter_map(|(_, record)| record.subject.cgroup())
        .collect();
    assert_eq!(cgroups, [OWN; 19]);
}

/// The entries of a bundle, to be put together again otherwise.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    });
    entries.collect()
}

fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for (name, bytes) in entries {
        add(&mut archive, name, bytes.len() as u64, |out| {
            out.write_all(bytes)
        })
        .unwrap();
    }
    archive.write_all(&[0; 2 * BLOCK]).unwrap();
    archive.finish().unwrap()
}

fn refused(change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Error {
    let mut entries = entries(&packed(&case()).0);
    change(&mut entries);
    Bundle::open(&archive(&entries)[..]).expect_err("it was changed")
}

fn position(entries: &[(String, Vec<u8>)], name: &str) -> usize {
    entries.iter().position(|(own, _)| own == name).unwrap()
}

#[test]
fn what_was_changed_is_refused() {
    for name in [REPORT, CASE, BULK] {
        let error = refused(|entries| {
            let at = position(entries, name);
            let middle = entries[at].1.len() / 2;
            entries[at].1[middle] ^= 1;
        });
        assert!(
            matches!(&error, Error::Changed(changed) if changed == name),
            "{error}"
        );
        let error = refused(|entries| {
            entries.remove(position(entries, name));
        });
        assert!(
            matches!(error, Error::Missing(missing) if missing == name),
            "{error}"
        );
    }
    let error = refused(|entries| entries.push(("x".to_owned(), Vec::new())));
    assert!(
        matches!(&error, Error::Entry(name) if name == "x"),
        "{error}"
    );
    let error = refused(|entries| entries.push(entries[1].clone()));
    assert!(matches!(error, Error::Entry(_)), "{error}");
    // Evidence that the manifest lists and that is gone, or that is there and not listed.
    let error = refused(|entries| {
        entries.remove(position(entries, super::STACK));
    });
    assert!(matches!(error, Error::Changed(_)), "{error}");
    let error = refused(|entries| {
        let mut manifest: Manifest = serde_json::from_slice(&entries[0].1).unwrap();
        manifest.files.retain(|listed| listed.path != super::STACK);
        entries[0].1 = serde_json::to_vec(&manifest).unwrap();
    });
    assert!(matches!(error, Error::Changed(_)), "{error}");
    let error = refused(|entries| {
        let mut manifest: Manifest = serde_json::from_slice(&entries[0].1).unwrap();
        manifest.schema = "blackbox.bundle/v9".to_owned();
        entries[0].1 = serde_json::to_vec(&manifest).unwrap();
    });
    assert!(matches!(error, Error::Version(_)), "{error}");
    let error = refused(|entries| entries[0] = (MANIFEST.to_owned(), b"{}".to_vec()));
    assert!(
        matches!(error, Error::Content { name: MANIFEST, .. }),
        "{error}"
    );
}

#[test]
fn no_bytes_panic() {
    let (bytes, _) = packed(&case());
    for cut in (0..bytes.len()).step_by(7) {
        assert!(Bundle::open(&bytes[..cut]).is_err(), "{cut}");
    }
    for at in (0..bytes.len()).step_by(11) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        if let Ok(bundle) = Bundle::open(&damaged[..]) {
            assert_eq!(bundle.report_json(), packed(&case()).1);
        }
    }
}

#[test]
fn names_that_identities_learn_survive() {
    let mut identities = Identities::default();
    identities.add(OWN, "/kubepods/besteffort/pod1/x");
    let bytes = postcard::to_stdvec(identities.names()).unwrap();
    let names: crate::identity::Names = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(names.describe(OWN), identities.names().describe(OWN));
    let node = NodeInfo::default();
    let bytes = postcard::to_stdvec(&node).unwrap();
    let read: NodeInfo = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(read.name, node.name);
}
