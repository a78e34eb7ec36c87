//! Deaths in pods: the running kernel says who, a scripted API server why; one incident each, or none.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::stage::Cgroup;
use xtask::timing::wait_for;

use crate::lab::{self, LIMIT, Lab, Life, VICTIM};
use crate::server::Server;

/// A pod of one container, its cgroup as a kubelet makes it, and the node's daemon that follows the API server.
pub(crate) struct Pod {
    pub(crate) lab: Lab,
    pub(crate) server: Server,
    pub(crate) uid: String,
    pub(crate) id: String,
    pub(crate) container: Cgroup,
    pub(crate) runtime: Cgroup,
    logs: TempDir,
    object: Value,
}

impl Pod {
    pub(crate) fn start(digit: char) -> Result<Self> {
        let (server, logs) = (Server::start(), tempfile::tempdir()?);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{}", server.port)}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        let path = logs.path().join("kubeconfig");
        std::fs::write(&path, config.to_string())?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let own = std::process::id();
        let uid = format!("{digit:0>8}-{:04x}-4000-8000-{own:012x}", own & 0xffff);
        let id = format!("{digit}{own:063x}");
        let path_in = |name: &str| format!("kubepods/burstable/pod{uid}/{name}");
        let container = Cgroup::create(&path_in(&id))?;
        let runtime = lab::cgroup(&format!("runtime-{digit}"))?;
        let object = json!({
            "kind": "Pod",
            "metadata": {"name": "checkout", "namespace": "shop", "uid": uid},
            "spec": {"nodeName": "n", "restartPolicy": "Always", "terminationGracePeriodSeconds": 2,
                "containers": [{"name": "app", "image": "registry/checkout:1",
                    "resources": {"limits": {"memory": "16Mi"}, "requests": {"memory": "8Mi"}}}]},
            "status": {"phase": "Running", "qosClass": "Burstable", "containerStatuses": [
                {"name": "app", "restartCount": 0, "containerID": format!("containerd://{id}"),
                 "state": {"running": {"startedAt": "2026-11-20T20:10:00Z"}}}]},
        });
        server.apply(object.clone());
        let lab = Lab::start(&[
            ("BLACKBOX_KUBERNETES", "on"),
            ("BLACKBOX_API_KEY", "key"),
            ("BLACKBOX_API_ADDRESS", "127.0.0.1"),
            ("BLACKBOX_API_PORT", "18997"),
            ("NODE_NAME", "n"),
            ("KUBECONFIG", &text(&path)),
            ("BLACKBOX_POD_LOGS", &text(logs.path())),
        ])?;
        // The test goes on when the daemon watches.
        wait_for(LIMIT, || {
            anyhow::Ok((server.asked("watch pods") > 0).then_some(()))
        })?
        .context("the daemon does not watch")?;
        Ok(Self {
            lab,
            server,
            uid,
            id,
            container,
            runtime,
            logs,
            object,
        })
    }

    /// Starts `words` as pid 1 of a pid namespace in the container; gives the namespace's maker and the pid outside.
    pub(crate) fn run(&self, words: &[&str]) -> Result<(Life, u32)> {
        let all: Vec<&str> = ["--pid", "--fork"].iter().chain(words).copied().collect();
        let maker = Life::start(&self.container, "unshare", &all)?;
        let path = format!("/proc/{0}/task/{0}/children", maker.pid());
        let first = wait_for(LIMIT, || {
            let children = std::fs::read_to_string(&path)?;
            anyhow::Ok(
                children
                    .split_whitespace()
                    .next()
                    .and_then(|pid| pid.parse().ok()),
            )
        })?;
        Ok((maker, first.context("no first process")?))
    }

    /// The kubelet's word on the end of the container.
    pub(crate) fn ended(&mut self, code: i32, reason: &str) {
        let finished = jiff::Timestamp::now().to_string();
        self.object["status"]["containerStatuses"][0]["state"] = json!({"terminated": {
            "exitCode": code, "reason": reason, "finishedAt": finished,
            "containerID": format!("containerd://{}", self.id)}});
        self.server.apply(self.object.clone());
    }

    fn deleted(&mut self, grace: i64) -> Result<()> {
        let deadline =
            jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(grace))?;
        self.object["metadata"]["deletionTimestamp"] =
            json!(deadline.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        self.object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        self.server.apply(self.object.clone());
        Ok(())
    }

    /// The one report about the pod.
    pub(crate) fn report(&mut self) -> Result<Value> {
        let uid = self.uid.clone();
        let own = |report: &Value| report["pod"]["uid"] == uid.as_str();
        let (_path, report) = self.lab.daemon.wait_report(LIMIT, own)?;
        self.lab.daemon.stop()?;
        let told = self
            .lab
            .daemon
            .reports()?
            .iter()
            .filter(|report| own(report))
            .count();
        assert_eq!(told, 1, "one death, one incident");
        Ok(report)
    }
}

fn says(report: &Value, text: &str) {
    let said = lab::said(report);
    assert!(said.contains(text), "{text:?} not in:\n{said}");
}

#[test]
fn memory_that_ran_out_is_one_incident_with_the_kubelets_word_and_the_log() -> Result<()> {
    let mut pod = Pod::start('a')?;
    let folder = pod
        .logs
        .path()
        .join(format!("shop_checkout_{}/app", pod.uid));
    std::fs::create_dir_all(&folder)?;
    let line = "2026-11-20T20:10:01Z stderr F cache grows\n";
    std::fs::write(folder.join("0.log"), line)?;
    pod.container.set_memory_limit(16 << 20)?;
    let (maker, pid) = pod.run(&[VICTIM, "oom"])?;
    maker.end()?;
    std::thread::sleep(Duration::from_millis(700));
    pod.ended(137, "OOMKilled");
    let report = pod.report()?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["cause"], "memory_limit", "{verdict:#}");
    assert_eq!(verdict["grade"], "proven");
    assert_eq!(verdict["facts"]["pid"], pid);
    says(
        &report,
        "the kubelet says that container app of pod shop/checkout ended with exit code 137, reason OOMKilled",
    );
    says(&report, "has a memory limit of 16.0 MiB by its spec");
    assert_eq!(
        report["log"]["lines"][0]["text"], "cache grows",
        "{:#}",
        report["log"]
    );
    assert_eq!(report["history"][0]["reason"], "OOMKilled");
    assert_eq!(report["incident"]["severity"], "critical");
    Ok(())
}

#[test]
fn a_process_that_ignores_sigterm_is_killed_when_its_grace_period_is_over() -> Result<()> {
    let mut pod = Pod::start('b')?;
    // pid 1 of a namespace without a handler: the kernel drops SIGTERM.
    let (maker, pid) = pod.run(&[VICTIM, "sleep"])?;
    pod.deleted(2)?;
    std::thread::sleep(Duration::from_millis(300));
    lab::send(&pod.runtime, pid, "15")?;
    std::thread::sleep(Duration::from_millis(2_300));
    lab::send(&pod.runtime, pid, "9")?;
    maker.end()?;
    pod.ended(137, "Error");
    let report = pod.report()?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["cause"], "grace_expired", "{verdict:#}");
    says(
        &report,
        "the grace period of 2 s ran out after pod shop/checkout was deleted",
    );
    says(&report, "before the end; the process ignores it");
    Ok(())
}

#[test]
fn a_pod_that_ends_when_it_is_asked_to_is_no_incident() -> Result<()> {
    let mut pod = Pod::start('c')?;
    let (maker, pid) = pod.run(&[
        "sh",
        "-c",
        "trap 'exit 143' TERM; while :; do sleep 0.05; done",
    ])?;
    std::thread::sleep(Duration::from_millis(300));
    pod.deleted(30)?;
    std::thread::sleep(Duration::from_millis(300));
    lab::send(&pod.runtime, pid, "15")?;
    maker.end()?;
    pod.ended(143, "Error");
    std::thread::sleep(Duration::from_secs(1));
    // A later death elsewhere shows that reports are being made.
    let other = lab::cgroup("after-the-pod")?;
    pod.lab.report_on(&other)?;
    pod.lab.daemon.stop()?;
    let uid = pod.uid.as_str();
    let told = pod.lab.daemon.reports()?;
    let told: Vec<_> = told
        .iter()
        .filter(|report| report["pod"]["uid"] == uid)
        .collect();
    assert!(told.is_empty(), "{:#}", told[0]["verdict"]);
    Ok(())
}
