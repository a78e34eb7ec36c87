//! A daemon with many keys and a report, and runs of schemathesis against it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::schemathesis::{self, Schemathesis};
use xtask::timing::wait_for;

use crate::running::Running;

/// The same requests each time.
const SEED: &str = "20260304";
/// A report that exists.
const INCIDENT: &str = "an-incident-of-the-tests";
/// Enough that no key meets its limit: a key may export 10 times a minute.
const KEYS: usize = 2000;
/// More than the long form needs.
const LIMIT: Duration = Duration::from_secs(1200);

pub(crate) fn tools() -> Schemathesis {
    schemathesis::find().unwrap_or_else(|error| panic!("{error:#}"))
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// Callers in turn, so that the rate limits hide nothing.
    Many,
    /// A single caller, who meets them.
    One,
    /// Somebody with a key that is none.
    Wrong,
    /// Somebody without a key.
    None,
}

/// One run.
pub(crate) struct Run {
    pub(crate) keys: Keys,
    /// Generated requests of each operation, besides those at the borders of what is allowed.
    pub(crate) examples: u32,
    pub(crate) arguments: &'static [&'static str],
}

/// How often each status was the answer, by operation.
#[derive(Debug)]
pub(crate) struct Answers(BTreeMap<String, BTreeMap<u16, u64>>);

impl Answers {
    pub(crate) fn operations(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn of(&self, operation: &str, status: u16) -> u64 {
        let counts = self.0.get(operation);
        counts
            .and_then(|counts| counts.get(&status))
            .copied()
            .unwrap_or(0)
    }

    pub(crate) fn statuses(&self, operation: &str) -> Vec<u16> {
        let counts = self.0.get(operation);
        counts
            .map(|counts| counts.keys().copied().collect())
            .unwrap_or_default()
    }
}

/// A running daemon that knows [`KEYS`] keys and has the report [`INCIDENT`].
pub(crate) struct Lab {
    pub(crate) running: Running,
    directory: TempDir,
}

impl Lab {
    pub(crate) async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let keys: Vec<Value> = (0..KEYS)
            .map(|number| json!({"name": format!("caller-{number}"), "key": key(number), "scopes": ["admin"]}))
            .collect();
        let file = directory.path().join("keys.json");
        fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
        let running = Running::start(&[
            ("BLACKBOX_SWAGGER_ENABLE", "true"),
            ("BLACKBOX_API_KEYS_FILE", file.to_str().unwrap()),
        ])
        .await;
        let telemetry =
            json!({"pod_name": "checkout", "namespace": "shop", "data": {"heap_used_mb": 412}});
        let sent = running.post("/api/v1/telemetry", &telemetry).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        let report = json!({"id": INCIDENT, "pod_name": "checkout", "namespace": "shop"});
        let sent = running.post("/api/v1/incident", &report).await;
        assert_eq!(sent.status, 200, "{sent:?}");
        let written = format!("/api/v1/incidents/{INCIDENT}");
        running.until(&written, |answer| answer.status == 200).await;
        Self { running, directory }
    }

    /// Runs schemathesis with all its checks but one; panics with its report when it finds something.
    ///
    /// `ensure_resource_availability` would have what `POST /api/v1/incident` accepts be there at once; a report is
    /// written when the incident has settled, and repeats share one.
    pub(crate) fn run(&self, run: &Run) -> Answers {
        let folder = TempDir::new_in(self.directory.path()).unwrap();
        let answers = folder.path().join("answers.json");
        let output = folder.path().join("output");
        let mut command = Command::new(tools().st);
        command
            .arg("run")
            .arg(format!(
                "http://127.0.0.1:{}/swagger.json",
                self.running.port
            ))
            .args([
                "--checks",
                "all",
                "--exclude-checks",
                "ensure_resource_availability",
            ])
            .args(["--seed", SEED, "--max-examples", &run.examples.to_string()])
            .args([
                "--continue-on-failure",
                "--no-color",
                "--output-truncate",
                "false",
            ])
            .args(["--request-timeout", "10", "--generation-database", "none"])
            .args(run.arguments)
            .current_dir(folder.path())
            .env("PYTHONPATH", fixtures())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .env("BLACKBOX_TEST_INCIDENT", INCIDENT)
            .env("BLACKBOX_TEST_ANSWERS", &answers)
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::options().append(true).open(&output).unwrap());
        if let Some(keys) = keys(run.keys) {
            let file = folder.path().join("keys");
            fs::write(&file, keys.join("\n")).unwrap();
            command.env("BLACKBOX_TEST_KEYS", file);
        }
        let mut child = command.spawn().unwrap();
        let ended = wait_for(LIMIT, || child.try_wait()).unwrap();
        if ended.is_none() {
            child.kill().unwrap();
        }
        let told = fs::read_to_string(&output).unwrap();
        assert!(ended.is_some_and(|status| status.success()), "{told}");
        let text = fs::read_to_string(&answers).unwrap();
        Answers(serde_json::from_str(&text).unwrap())
    }
}

fn keys(keys: Keys) -> Option<Vec<String>> {
    match keys {
        Keys::Many => Some((0..KEYS).map(key).collect()),
        Keys::One => Some(vec![key(0)]),
        Keys::Wrong => Some(vec!["a-key-that-nobody-has".to_owned()]),
        Keys::None => None,
    }
}

fn key(number: usize) -> String {
    format!("a-key-of-the-tests-{number:04}")
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}
