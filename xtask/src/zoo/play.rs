//! Plays one case: what it needs, the container, its death, and the report about it.
//!
//! A case that does not die as it should is an error: then nothing is proven about a report.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::build::Programs;
use super::cases::{Case, Need};
use super::container::{Container, root};
use super::table::Outcome;
use crate::deaths::{container_id, kill};
use crate::stage::{Cgroup, Daemon};

const REPORT_LIMIT: Duration = Duration::from_secs(20);
/// After the right process was missing: what else there is.
const OTHER_LIMIT: Duration = Duration::from_millis(100);
/// How long a program runs before the runner does something to it.
const RUN: Duration = Duration::from_millis(1500);
/// Between SIGTERM and SIGKILL; the kubelet's default is 30 s.
const GRACE: Duration = Duration::from_secs(2);

/// Plays `case` and waits for its report.
///
/// # Errors
/// It cannot be staged, or does not die as it should.
pub(super) fn play(
    case: &Case,
    programs: &Programs,
    victim: &Path,
    daemon: &mut Daemon,
) -> Result<Outcome> {
    let folder = fresh_folder(programs, case)?;
    let mut words = programs.words(case)?;
    let listener = prepare(case, &folder, &mut words)?;
    let mut container = Container::start(case, &words, &folder)?;
    let mut other = None;
    match case.need {
        Need::TermThenKill => {
            thread::sleep(RUN);
            container.signal(Signal::TERM)?;
            thread::sleep(GRACE);
            container.signal(Signal::KILL)?;
        }
        Need::Neighbour => {
            thread::sleep(RUN);
            let cgroup = Cgroup::create(&format!("{}/docker-{}.scope", root(), container_id()))?;
            kill(&cgroup, victim, container.pid())?;
            other = Some(cgroup);
        }
        _ => {}
    }
    let status = container.end()?;
    ensure!(
        case.end.is(status),
        "it ended with {status}, not {:?}; see {}",
        case.end,
        folder.join("output.log").display()
    );
    let (found, right) = report(case, &container, daemon);
    drop((container, listener, other));
    Ok(Outcome::new(case, found, right))
}

/// The first report about the process that died; else any about its cgroup.
fn report(
    case: &Case,
    container: &Container,
    daemon: &mut Daemon,
) -> (Option<(PathBuf, Value)>, bool) {
    let path = container.cgroup.path();
    let first = container.pid();
    let about = |report: &Value| is_about(report, &path);
    let right = daemon.wait_report(REPORT_LIMIT, |report| {
        let is_first = report["verdict"]["facts"]["pid"] == first;
        about(report) && is_first != case.in_child
    });
    match right {
        Ok(found) => (Some(found), true),
        Err(_none) => (daemon.wait_report(OTHER_LIMIT, about).ok(), false),
    }
}

/// Whether the cgroup is where it happened.
fn is_about(report: &Value, cgroup: &str) -> bool {
    let containers = report["containers"].as_array();
    containers
        .into_iter()
        .flatten()
        .any(|info| info["role"] == "subject" && info["cgroup_path"] == cgroup)
}

fn fresh_folder(programs: &Programs, case: &Case) -> Result<PathBuf> {
    let folder = programs.runs.join(case.name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Makes the files and ports a case needs. A taken port is taken as long as what this returns lives.
fn prepare(case: &Case, folder: &Path, words: &mut Vec<PathBuf>) -> Result<Option<TcpListener>> {
    match case.need {
        Need::ClosedPort | Need::TakenPort => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            words.push(listener.local_addr()?.port().to_string().into());
            return Ok((case.need == Need::TakenPort).then_some(listener));
        }
        Need::Certificate => {
            let key = rcgen::KeyPair::generate()?;
            let names = vec!["localhost".to_owned()];
            let certificate = rcgen::CertificateParams::new(names)?.self_signed(&key)?;
            fs::write(folder.join("server.crt"), certificate.pem())?;
            fs::write(folder.join("server.key"), key.serialize_pem())?;
        }
        Need::SecretFile => {
            let path = folder.join("master.key");
            fs::write(&path, "of the zoo, for nothing\n")?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
        Need::Nothing | Need::SmallDisk | Need::TermThenKill | Need::Neighbour => {}
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_about_its_subject_only() {
        let report = json!({"containers": [
            {"role": "subject", "cgroup_path": "/a"}, {"role": "sender", "cgroup_path": "/b"},
        ]});
        assert!(is_about(&report, "/a"));
        assert!(!is_about(&report, "/b"));
        assert!(!is_about(&json!({}), "/a"));
    }
}
