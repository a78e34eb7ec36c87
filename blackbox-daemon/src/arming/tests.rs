//! What arms a container, for how long, and who has the slot when there are too few.

use super::*;
use crate::identity::Identities;
use crate::record::{
    CallCounts, CgroupSample, Comm, MemoryUse, Pids, Process, ProcessKey, Subject, WaitStatus,
};

const SECOND: u64 = 1_000_000_000;
const UID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

fn at(seconds: u64) -> BootTime {
    BootTime(seconds * SECOND)
}

/// Arming with what it needs to know of names.
struct Stage {
    arming: Arming,
    identities: Identities,
}

impl Stage {
    fn new(slots: usize) -> Self {
        Self {
            arming: Arming::new(slots),
            identities: Identities::default(),
        }
    }

    fn take(&mut self, seconds: u64, subject: Subject, event: Event) {
        let record = Record {
            at: at(seconds),
            subject,
            event,
        };
        self.identities.observe(&record);
        self.arming
            .observe(&record, self.identities.names(), &Rules::default());
    }

    fn container(&mut self, seconds: u64, id: u64) {
        let digit = char::from_digit(u32::try_from(id % 10).unwrap(), 10).unwrap();
        let container = digit.to_string().repeat(64);
        let path = format!("/kubepods/burstable/pod{UID}/{container}");
        self.take(
            seconds,
            Subject::Cgroup(CgroupId(id)),
            Event::CgroupCreated { path },
        );
    }

    fn exit(&mut self, seconds: u64, id: u64, status: u32) {
        self.exit_of(seconds, id, status, 1);
    }

    /// The end of the process with that pid in its container.
    fn exit_of(&mut self, seconds: u64, id: u64, status: u32, ns_pid: u32) {
        let process = Process {
            key: ProcessKey {
                tgid: 7,
                start: at(0),
            },
            tid: 7,
            comm: Comm::from_text("app"),
            cgroup: CgroupId(id),
        };
        let exit = Exit {
            parent: process,
            status: WaitStatus(status),
            killer: None,
            oom_victim: false,
            ns_pid,
            ns_level: 1,
            peak_rss: None,
        };
        self.take(seconds, Subject::Process(process), Event::Exit(exit));
    }

    fn sample(&mut self, seconds: u64, id: u64, anon: u64, tasks: u64) {
        let memory = MemoryUse {
            current: 1000,
            max: Some(1000),
            anon: Some(anon),
            ..MemoryUse::default()
        };
        let sample = CgroupSample {
            memory: Some(memory),
            pids: Some(Pids {
                current: tasks,
                max: None,
            }),
            ..CgroupSample::default()
        };
        self.take(
            seconds,
            Subject::Cgroup(CgroupId(id)),
            Event::Cgroup(Box::new(sample)),
        );
    }

    /// The orders by then: which cgroup, whether to arm it, why.
    fn orders(&mut self, seconds: u64) -> Vec<(u64, bool, String)> {
        let orders = self.arming.turn(at(seconds)).into_iter();
        orders
            .map(|order| (order.cgroup.0, order.until.is_some(), order.why))
            .collect()
    }
}

#[test]
fn the_next_life_after_a_bad_end_is_armed_for_a_while() {
    let mut stage = Stage::new(2);
    stage.container(1, 1);
    stage.exit(5, 1, 0);
    stage.container(6, 2);
    assert_eq!(stage.orders(6), [], "it had ended well");
    stage.exit(7, 2, 1 << 8);
    stage.container(20, 3);
    let why = "an earlier life of it ended badly".to_owned();
    assert_eq!(stage.orders(20), [(3, true, why)]);
    assert_eq!(stage.orders(139), []);
    let over = "its reason is over".to_owned();
    assert_eq!(stage.orders(140), [(3, false, over)]);
}

#[test]
fn a_child_that_is_killed_is_no_bad_end_of_its_container() {
    let mut stage = Stage::new(2);
    stage.container(1, 1);
    stage.exit_of(5, 1, 13, 7);
    stage.container(6, 2);
    assert_eq!(stage.orders(6), []);
}

#[test]
fn a_limit_that_is_near_renews_itself_and_says_how_near() {
    let mut stage = Stage::new(1);
    stage.container(1, 1);
    // What the page cache holds is no danger: `current` is at the limit all the time.
    stage.sample(2, 1, 899, 1);
    assert_eq!(stage.orders(2), []);
    stage.sample(3, 1, 900, 1);
    let why = "its memory is at 90 % of its limit".to_owned();
    assert_eq!(stage.orders(3), [(1, true, why)]);
    stage.sample(100, 1, 950, 1);
    assert_eq!(stage.orders(200), []);
    assert_eq!(stage.orders(220).len(), 1);
}

#[test]
fn growth_is_told_before_the_limit_is_near() {
    let mut stage = Stage::new(1);
    stage.container(1, 1);
    for (seconds, anon) in [(1, 100), (2, 200), (3, 300), (4, 400)] {
        stage.sample(seconds, 1, anon, 1);
    }
    assert_eq!(stage.orders(4), [], "half of it is free");
    stage.sample(5, 1, 500, 1);
    let why = "as its memory grows it is at its limit in 5 s".to_owned();
    assert_eq!(stage.orders(5), [(1, true, why)]);
    let mut stage = Stage::new(1);
    stage.container(1, 1);
    stage.sample(1, 1, 1, 100);
    stage.sample(2, 1, 1, 160);
    let why = "it has 60 tasks more than seconds before".to_owned();
    assert_eq!(stage.orders(2), [(1, true, why)]);
}

#[test]
fn the_better_reason_has_the_slot() {
    let mut stage = Stage::new(1);
    stage.container(1, 1);
    stage.container(1, 2);
    let counts = CallCounts {
        by_errno: vec![(24, 3)],
        ..CallCounts::default()
    };
    stage.sample(2, 1, 1, 100);
    stage.sample(3, 1, 1, 160);
    assert_eq!(stage.orders(3).len(), 1);
    let subject = Subject::Cgroup(CgroupId(2));
    stage.take(4, subject, Event::CallCounts(counts));
    let told = stage.orders(4);
    assert_eq!(told[0].0, 1);
    assert!(!told[0].1, "{told:?}");
    assert_eq!(told[1], (2, true, "its calls fail with EMFILE".to_owned()));
    // An equal one waits.
    stage.sample(5, 1, 950, 1);
    assert_eq!(stage.orders(5), []);
}

#[test]
fn what_the_kernel_source_disarmed_stays_so_for_a_while() {
    let mut stage = Stage::new(1);
    stage.container(1, 1);
    stage.sample(2, 1, 950, 1);
    assert_eq!(stage.orders(2).len(), 1);
    let told = crate::record::Arming {
        until: None,
        why: "it costs too much".to_owned(),
    };
    let subject = Subject::Cgroup(CgroupId(1));
    stage.take(3, subject, Event::Arming(told));
    stage.sample(4, 1, 950, 1);
    assert_eq!(stage.orders(4), []);
    stage.orders(303);
    stage.sample(304, 1, 950, 1);
    assert_eq!(stage.orders(304).len(), 1);
}

#[test]
fn what_is_no_container_is_left_alone_and_without_slots_everything_is() {
    let mut stage = Stage::new(1);
    let path = "/some/group".to_owned();
    stage.take(
        1,
        Subject::Cgroup(CgroupId(1)),
        Event::CgroupCreated { path },
    );
    stage.sample(2, 1, 950, 1);
    assert_eq!(stage.orders(2), []);
    let mut stage = Stage::new(0);
    stage.container(1, 1);
    stage.sample(2, 1, 950, 1);
    assert_eq!(stage.orders(2), []);
}
