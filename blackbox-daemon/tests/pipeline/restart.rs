//! The recorder dies and begins again, on a real window.ring: what was open goes on, what was not told is told, what was told
//! is not told again, and its own end is an incident.

use std::path::Path;
use std::time::Duration;

use blackbox_daemon::durability::Durability;
use blackbox_daemon::journal::{self, Journal, Life, Pace, Recovered};
use blackbox_daemon::record::{BootTime, LifeEnd, Record};
use blackbox_daemon::recorder::{Core, Former, Keeper};
use blackbox_daemon::report::case::Case;
use serde_json::Value;

use super::support::{
    DEMO, MIB, at, cgroups, config, core, json, level, oom, oom_death, process, take, text, wall,
};

const BOOT: [u8; 16] = [1; 16];

/// One life of the recorder.
struct Lived {
    core: Core,
    keeper: Keeper,
    journal: Journal,
    cases: Vec<Case>,
}

fn settings(directory: &Path) -> journal::Config {
    journal::Config {
        directory: directory.to_owned(),
        size: journal::LEAST,
        pace: Pace::SSD,
    }
}

/// Opens the journal at `ms`, by when the thread that had it has ended.
fn open(directory: &Path, ms: u64, boot: [u8; 16]) -> (Journal, Option<Recovered>) {
    let life = Life {
        boot,
        number: at(ms).0,
        reach: Duration::from_secs(62),
    };
    let (journal, recovered) = journal::start(
        settings(directory),
        life,
        Durability::default().part("window"),
    )
    .expect("a thread for the journal");
    while !journal.has_room() {
        std::thread::sleep(Duration::from_millis(1));
    }
    (journal, recovered)
}

impl Lived {
    fn begin(directory: &Path, ms: u64) -> Self {
        let (journal, recovered) = open(directory, ms, BOOT);
        let (core, cases) = match recovered {
            None => (core(config()), Vec::new()),
            Some(recovered) => {
                let former = former(recovered, BOOT);
                let mut core = Core::new(config(), []);
                let cases = core.resume(&former, cgroups(), (at(ms), wall()));
                (core, cases)
            }
        };
        let reach = Duration::from_secs(62);
        let keeper = Keeper::new(journal.clone(), &settings(directory), reach, None);
        Self {
            core,
            keeper,
            journal,
            cases,
        }
    }

    fn take(&mut self, records: &[Record]) {
        take(&mut self.core, records);
    }

    /// Turns each 50 ms from `from` to `to`, and has everything written.
    fn turn(&mut self, from: u64, to: u64) {
        for ms in (from..=to).step_by(50) {
            self.cases.extend(self.core.turn(at(ms), wall(), false));
            self.keeper.turn(&mut self.core, at(ms), wall());
            while !self.journal.is_idle() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
    }

    fn die(self) -> Vec<Case> {
        self.cases
    }
}

fn former(recovered: Recovered, boot: [u8; 16]) -> Former {
    let end = match (recovered.ended, recovered.boot == boot) {
        (true, _) => LifeEnd::Stopped,
        (false, true) => LifeEnd::Died,
        (false, false) => LifeEnd::NodeDown,
    };
    Former {
        recovered,
        kernel_kept: false,
        end,
        panic: None,
    }
}

fn oom_at(pid: u32, ms: u64) -> Vec<Record> {
    let eater = process(pid, "eater", DEMO);
    let limit = vec![level(DEMO, 64 * MIB, Some(64 * MIB))];
    oom_death(eater, ms, oom(eater, limit))
}

fn types(cases: &[Case]) -> Vec<Value> {
    cases
        .iter()
        .map(|case| json(case)["incident"]["type"].clone())
        .collect()
}

#[test]
fn an_incident_that_was_open_is_told_by_the_next_life_as_proven_as_ever() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Lived::begin(directory.path(), 0);
    first.turn(50, 950);
    first.take(&oom_at(100, 1_000));
    first.turn(1_050, 1_500);
    assert!(first.die().is_empty(), "it had not settled");

    let mut second = Lived::begin(directory.path(), 2_000);
    assert_eq!(second.core.status(at(2_000)).open_incidents, 2);
    second.turn(2_050, 6_000);
    let cases = second.die();
    assert_eq!(types(&cases), ["oom", "daemon_crash"]);
    let report = json(&cases[0]);
    assert_eq!(report["verdict"]["grade"], "proven");
    assert_eq!(report["verdict"]["cause"], "memory_limit");
    assert_eq!(report["completeness"]["complete"], false);
    let notes = report["completeness"]["notes"].to_string();
    assert!(
        notes.contains("the recorder was restarted within this window"),
        "{notes}"
    );
    let page = text(&cases[1]);
    assert!(page.contains("the recorder died"), "{page}");
    assert!(page.contains("950.0 ms after its last write"), "{page}");
}

#[test]
fn what_was_told_is_not_told_again_and_what_was_not_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Lived::begin(directory.path(), 0);
    first.take(&oom_at(100, 1_000));
    first.turn(1_050, 4_000);
    let told = &first.cases[0];
    first.journal.tell(told.incident.id());
    first.take(&oom_at(200, 70_000));
    first.turn(70_050, 73_000);
    assert_eq!(
        first.cases.len(),
        2,
        "the second one is closed, and its report is not out"
    );
    drop(first);

    let mut second = Lived::begin(directory.path(), 73_500);
    second.turn(73_550, 80_000);
    let cases = second.die();
    assert_eq!(types(&cases), ["oom", "daemon_crash"]);
    assert_eq!(json(&cases[0])["verdict"]["facts"]["pid"], 200);
}

#[test]
fn a_clean_stop_is_no_incident() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Lived::begin(directory.path(), 0);
    first.take(&oom_at(100, 1_000));
    first.turn(1_050, 4_000);
    first.journal.tell(first.cases[0].incident.id());
    first.keeper.finish(&mut first.core, at(4_050), wall());
    first
        .journal
        .end((at(4_100), wall()), Duration::from_secs(5));
    drop(first);

    let mut second = Lived::begin(directory.path(), 9_000);
    second.turn(9_050, 15_000);
    assert_eq!(types(&second.cases), [Value::Null; 0]);
    let held = second.core.status(at(15_000)).window.decisive.records;
    assert!(
        held > 4,
        "the minute before the stop is in the window: {held}"
    );
    assert_eq!(
        second.core.recorded().values().sum::<u64>(),
        1,
        "counts are of this life"
    );
}

#[test]
fn a_node_that_went_down_is_told_with_what_its_disk_had_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Lived::begin(directory.path(), 0);
    first.take(&oom_at(100, 1_000));
    first.turn(1_050, 1_500);
    drop(first);

    let (_journal, recovered) = open(directory.path(), 90_000, [2; 16]);
    let former = former(recovered.unwrap(), [2; 16]);
    assert_eq!(former.end, LifeEnd::NodeDown);
    let now = wall().nanos() + at(90_000).0.cast_signed();
    let cases = Core::new(config(), []).autopsy(&former, now);
    assert_eq!(types(&cases), ["oom", "node_unclean_reboot"]);
    let report = json(&cases[1]);
    assert_eq!(report["incident"]["severity"], "critical");
    assert_eq!(report["verdict"]["grade"], "unknown");
    assert_eq!(report["diagnosis"]["code"], "BBX-NODE-DOWN");
    assert!(
        report["telemetry"]
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["name"] == "oom_kill")
    );
}

#[test]
fn a_second_daemon_does_not_take_the_file_from_the_first() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Lived::begin(directory.path(), 0);
    first.take(&oom_at(100, 1_000));
    first.turn(1_050, 1_500);
    let life = Life {
        boot: BOOT,
        number: BootTime(5).0,
        reach: Duration::from_secs(62),
    };
    let (second, recovered) = journal::start(
        settings(directory.path()),
        life,
        Durability::default().part("window"),
    )
    .unwrap();
    assert!(recovered.is_none());
    std::thread::sleep(Duration::from_millis(300));
    assert!(!second.has_room(), "it has no file");
    drop(second);
    drop(first);
    let (_journal, recovered) = open(directory.path(), 2_000, BOOT);
    assert!(recovered.unwrap().records() > 3);
}
