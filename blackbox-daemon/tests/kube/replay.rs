//! What a real kubelet wrote, through the watcher and the recorder: exactly the incidents that are listed beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use blackbox_daemon::clock::WallOffset;
use blackbox_daemon::incident::{self, trigger::Rules};
use blackbox_daemon::record::{BootTime, Record, SourceName, SourceState, Subject};
use blackbox_daemon::record::{Event, Health};
use blackbox_daemon::recorder::{self, Core};
use blackbox_daemon::report::{NodeInfo, Report, build::build};
use blackbox_daemon::window;
use tempfile::TempDir;

use crate::server::Server;
use crate::stage::{Stage, kubeconfig};

const RECORDED: &str = include_str!("../fixtures/kube/watch-kubelet-1.36.tsv");
/// Longer than one record of the fixture is from the next.
const STEP: u64 = 500_000_000;

/// The reports about these records, told one after another.
fn reports(records: &[Record]) -> Vec<Report> {
    let config = recorder::Config {
        window: Duration::from_secs(600),
        storage: window::Config::default(),
        incidents: incident::Config {
            settle: Duration::from_secs(2),
            // Every death is to have its report.
            throttle: Duration::ZERO,
        },
        rules: Rules::default(),
        node: NodeInfo::default(),
    };
    let mut core = Core::new(config, []);
    let wall = WallOffset::from_nanos(0);
    let (mut now, mut closed) = (1_000 * STEP, Vec::new());
    let followed = Record {
        at: BootTime(now),
        subject: Subject::Node,
        event: Event::Source(SourceState {
            source: SourceName::Kube,
            health: Health::Ok,
        }),
    };
    for record in std::iter::once(&followed).chain(records) {
        now += STEP;
        let record = Record {
            at: BootTime(now),
            ..record.clone()
        };
        core.take(&record, BootTime(now), wall);
        closed.extend(core.turn(BootTime(now), wall, false));
    }
    closed.extend(core.turn(BootTime(now + 100 * STEP), wall, false));
    closed.iter().map(build).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_real_kubelet_wrote_is_nine_deaths_and_two_back_offs() {
    let (server, directory) = (Server::start(), TempDir::new().unwrap());
    let path = kubeconfig(directory.path(), server.port, "right");
    let mut stage = Stage::start_on("vm1", path, None);
    stage.until_said("ok", 1).await;
    for line in RECORDED.lines() {
        let (_, change) = line.split_once('\t').unwrap();
        server.raw(change);
    }
    stage.until_said("ended ", 9).await;
    stage.listen(Duration::from_millis(500)).await;
    let reports = reports(&stage.records);
    stage.stop().await;
    let mut told: BTreeMap<(&str, &str, &str, &str), usize> = BTreeMap::new();
    for report in &reports {
        let incident = &report.incident;
        let pod = incident.pod_name.as_deref().unwrap();
        let what = (
            pod,
            report.verdict.cause.name(),
            incident.kind.name(),
            incident.severity.name(),
        );
        *told.entry(what).or_default() += 1;
        assert_eq!(incident.repeats, 0);
    }
    let expected = BTreeMap::from([
        (("oom", "oom", "oom", "critical"), 4),
        (("oom", "crash_loop", "crash", "high"), 1),
        (("exit1", "exit_code", "crash", "high"), 5),
        (("exit1", "crash_loop", "crash", "high"), 1),
    ]);
    assert_eq!(told, expected);
    let ids: std::collections::BTreeSet<_> = reports.iter().map(|it| &it.incident.id).collect();
    assert_eq!(ids.len(), reports.len(), "no id twice");
    let last = reports
        .iter()
        .rev()
        .find(|report| report.verdict.cause.name() == "oom");
    assert_eq!(last.unwrap().history.len(), 4, "its earlier ends are told");
}
