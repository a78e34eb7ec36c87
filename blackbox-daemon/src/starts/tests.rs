//! Whole runs: what is remembered as healthy, for how long, and what is compared with what.

use super::*;
use crate::identity::Identities;
use crate::record::{CallCounts, Comm, FailedCall, Gap, LossCause, Process, WaitStatus};

const SECOND: u64 = 1_000_000_000;

/// A node whose cgroups `/jobs/N` come one after the other.
#[derive(Default)]
struct Node {
    starts: Starts,
    identities: Identities,
    last: u64,
}

fn process(cgroup: u64) -> Process {
    let key = ProcessKey {
        tgid: cgroup as u32,
        start: BootTime(cgroup),
    };
    Process {
        key,
        tid: key.tgid,
        comm: Comm::from_text("app"),
        cgroup: CgroupId(cgroup),
    }
}

impl Node {
    fn take(&mut self, at: u64, subject: Subject, event: Event) {
        self.last += 1;
        let record = Record {
            at: BootTime(at * SECOND),
            subject,
            event,
        };
        self.identities.observe(&record);
        self.starts.observe(&record, RecordId(self.last));
    }

    /// A cgroup in which a program starts at `at` and misses `file`.
    fn begin(&mut self, cgroup: u64, at: u64, file: &str) {
        let id = CgroupId(cgroup);
        let path = format!("/jobs/{}", 10_000 + cgroup);
        self.take(at, Subject::Cgroup(id), Event::CgroupCreated { path });
        let subject = Subject::Process(process(cgroup));
        for exe in ["/proc/self/exe", "/bin/app"] {
            let exec = Exec {
                parent: process(1),
                exe: exe.to_owned(),
            };
            self.take(at, subject, Event::Exec(exec));
        }
        let call = FailedCall {
            nr: 2,
            errno: 2,
            args: [0; 3],
            argument: Some(file.to_owned()),
            compat: false,
        };
        self.take(at + 1, subject, Event::FailedCall(call));
    }

    fn end(&mut self, cgroup: u64, at: u64, code: u32) {
        let exit = Exit {
            parent: process(1),
            status: WaitStatus(code << 8),
            killer: None,
            oom_victim: false,
            ns_pid: 77,
            ns_level: 0,
            peak_rss: None,
        };
        self.take(at, Subject::Process(process(cgroup)), Event::Exit(exit));
    }

    fn turn(&mut self, at: u64) {
        self.starts
            .turn(BootTime(at * SECOND), self.identities.names());
    }

    fn compare(&mut self, cgroup: u64) -> Option<Comparison> {
        self.starts
            .compare(CgroupId(cgroup), self.identities.names())
    }
}

#[test]
fn who_lives_long_or_ends_well_is_healthy() {
    for (end, healthy) in [
        (None, true),
        (Some((5, 0)), true),
        (Some((5, 1)), false),
        (Some((62, 1)), true),
    ] {
        let mut node = Node::default();
        node.begin(2, 10, "/a");
        if let Some((after, code)) = end {
            node.end(2, 10 + after, code);
        }
        node.turn(10 + SPAN.as_secs() + 5);
        node.begin(3, 100, "/b");
        node.end(3, 101, 1);
        let both = node.compare(3);
        assert_eq!(both.is_some(), healthy, "{end:?}");
        if let Some(both) = both {
            assert_eq!(both.kind, "program /bin/app in cgroup /jobs/*");
            let texts = |run: &Run| {
                run.steps
                    .iter()
                    .map(|it| it.text.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(
                texts(&both.healthy),
                ["exec /proc/self/exe", "exec /bin/app", "open /a → ENOENT"]
            );
            assert_eq!(texts(&both.run)[2], "open /b → ENOENT");
        }
        if healthy {
            // It is compared with nothing.
            assert_eq!(node.compare(2), None);
        }
    }
}

#[test]
fn the_last_healthy_run_counts_and_old_starts_are_forgotten() {
    let mut node = Node::default();
    for (cgroup, file) in [(2, "/first"), (3, "/second")] {
        node.begin(cgroup, 10 * cgroup, file);
        node.end(cgroup, 10 * cgroup + 2, 0);
        node.turn(10 * cgroup + 9);
    }
    node.begin(4, 50, "/third");
    let both = node.compare(4).unwrap();
    assert_eq!(both.healthy.steps[2].text, "open /second → ENOENT");
    node.end(4, 52, 1);
    node.turn(50 + REMEMBERED.as_secs());
    assert!(node.compare(4).is_some());
    node.turn(51 + REMEMBERED.as_secs());
    assert_eq!(node.compare(4), None);
    assert_eq!((node.starts.watched.len(), node.starts.order.len()), (0, 0));
}

#[test]
fn who_was_not_seen_starting_has_no_start() {
    let mut node = Node::default();
    node.identities.add(CgroupId(2), "/jobs/10002");
    node.end(2, 5, 0);
    node.turn(100);
    assert_eq!(node.compare(2), None);
    assert!(node.starts.healthy.is_empty());
}

#[test]
fn losses_are_known_of_whom_they_concern() {
    let mut node = Node::default();
    for cgroup in [2, 3] {
        node.begin(cgroup, 10, "/a");
    }
    let throttled = CallCounts {
        attempted: 9,
        throttled: 1,
        ..CallCounts::default()
    };
    node.take(
        11,
        Subject::Cgroup(CgroupId(2)),
        Event::CallCounts(throttled),
    );
    let lost = |node: &Node| [2, 3].map(|id| node.starts.watched[&CgroupId(id)].run.lost);
    assert_eq!(lost(&node), [true, false]);
    let gap_of = |class, cause| {
        Event::Gap(Gap {
            class,
            cause,
            count: 1,
        })
    };
    let gap = |class| gap_of(class, LossCause::FeedFull);
    // What others lost so is told of them.
    let elsewhere = gap_of(Class::FailedCall, LossCause::Throttled);
    node.take(12, Subject::Node, elsewhere);
    assert_eq!(lost(&node), [true, false]);
    node.take(12, Subject::Node, gap(Class::Telemetry));
    assert_eq!(lost(&node), [true, false]);
    node.take(12, Subject::Node, gap(Class::FailedCall));
    assert_eq!(lost(&node), [true, true]);
}

#[test]
fn everything_is_bounded() {
    let mut node = Node::default();
    for cgroup in 2..2_000 {
        node.begin(cgroup, 10, "/a");
    }
    assert_eq!(node.starts.watched.len(), MOST_RUNS);
    assert_eq!(node.starts.order.len(), MOST_RUNS);
    let run = Run::new(BootTime(0));
    for kind in 0..1_000 {
        keep(&mut node.starts.healthy, kind.to_string(), run.clone());
    }
    assert_eq!(node.starts.healthy.len(), MOST_KINDS);
    assert_eq!(node.starts.healthy[0].0, (1_000 - MOST_KINDS).to_string());
}
