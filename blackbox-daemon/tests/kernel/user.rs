//! Which user the daemon is after its start: uid 0 is given up only where nothing is lost by it, and recording goes on.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use xtask::timing::wait_for;

use crate::lab::{self, DAEMON, LIMIT, Lab, Life, VICTIM};

/// Real, effective, saved and of the file system.
const NOBODY: &str = "65534\t65534\t65534\t65534";
const ROOT: &str = "0\t0\t0\t0";

/// Whose a directory is, and its mode.
fn access(path: &Path) -> Result<(u32, u32, u32)> {
    let of = fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok((of.uid(), of.gid(), of.mode() & 0o7777))
}

/// A port and a key, so that an incident can be reported where the kernel is not heard.
fn api() -> Result<[(String, String); 2]> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    Ok([
        ("BLACKBOX_API_KEY".to_owned(), "k".to_owned()),
        ("BLACKBOX_API_PORT".to_owned(), port.to_string()),
    ])
}

/// Reports an incident and waits for its report.
fn reported(lab: &mut Lab, api: &[(String, String)]) -> Result<()> {
    let url = format!("http://127.0.0.1:{}/api/v1/incident", api[1].1);
    let body = r#"{"pod_name":"p","namespace":"n","severity":"high","type":"crash","message":"m"}"#;
    let post = || {
        let mut curl = Command::new("curl");
        curl.args([
            "-sf",
            "-H",
            "Authorization: Bearer k",
            "-H",
            "Content-Type: application/json",
        ]);
        let sent = curl.args(["-d", body, url.as_str()]).output()?;
        anyhow::Ok(sent.status.success().then_some(()))
    };
    wait_for(LIMIT, post)?.context("no incident could be reported")?;
    lab.daemon
        .wait_report(LIMIT, |report| report["incident"]["pod_name"] == "p")?;
    Ok(())
}

fn start(mode: u32, api: &[(String, String)]) -> Result<Lab> {
    let mut env = vec![("BLACKBOX_EBPF", "off")];
    env.extend(api.iter().map(|(key, value)| (&**key, &**value)));
    Lab::start_in_mode(mode, &[], &env)
}

#[test]
fn uid_0_is_given_up_where_nothing_needs_it() -> Result<()> {
    let api = api()?;
    let mut lab = start(0o755, &api)?;
    let pid = lab.daemon.pid();
    for key in ["Uid:", "Gid:"] {
        lab::each_thread(pid, key, NOBODY)?;
    }
    lab::each_thread(pid, "Groups:", "")?;
    lab::each_thread(pid, "CapPrm:", "0000000000000000")?;
    // It made the directory, which stays root's: the next start may need uid 0 again.
    let reports = lab.daemon.reports_directory();
    assert_eq!(access(&reports)?, (0, 65_534, 0o775));
    reported(&mut lab, &api)?;
    assert_eq!(lab.daemon.stop()?.code(), Some(0));
    Ok(())
}

/// Only root may enter the directory that they are below.
#[test]
fn uid_0_stays_where_a_directory_could_not_be_written() -> Result<()> {
    let api = api()?;
    let mut lab = start(0o700, &api)?;
    lab::each_thread(lab.daemon.pid(), "Uid:", ROOT)?;
    let reports = lab.daemon.reports_directory();
    assert_eq!(access(&reports)?, (0, 0, 0o755), "it was taken back");
    let log = lab.daemon.log()?;
    let why = format!("{} cannot be written", reports.display());
    assert!(log.contains(&why), "{log}");
    reported(&mut lab, &api)?;
    Ok(())
}

#[test]
fn uid_0_stays_where_stacks_are_named_from_roots_files() -> Result<()> {
    let lab = Lab::start_in_mode(0o755, &[], &[])?;
    lab::each_thread(lab.daemon.pid(), "Uid:", ROOT)?;
    assert!(lab.daemon.log()?.contains("may be root's alone"));
    Ok(())
}

/// Whoever asks for a user gets everything that this user can have.
#[test]
fn another_user_hears_the_kernel_too() -> Result<()> {
    let mut lab = Lab::start_in_mode(0o755, &[], &[("BLACKBOX_RUN_AS", "4711:4712")])?;
    assert!(lab.daemon.log()?.contains("lost by BLACKBOX_RUN_AS"));
    let reports = lab.daemon.reports_directory();
    assert_eq!(access(&reports)?, (4711, 4712, 0o755));
    hears_the_kernel(&mut lab)
}

/// As systemd starts it with `User=` and `AmbientCapabilities=`: it never has uid 0.
#[test]
fn a_daemon_that_never_was_root_hears_the_kernel_too() -> Result<()> {
    let wrapper = [
        "setpriv",
        "--reuid=4711",
        "--regid=4712",
        "--clear-groups",
        "--bounding-set=-all,+cap_38,+cap_39",
        "--inh-caps=-all,+cap_38,+cap_39",
        "--ambient-caps=-all,+cap_38,+cap_39",
    ];
    let mut lab = Lab::start_in_mode(0o777, &wrapper, &[])?;
    hears_the_kernel(&mut lab)
}

/// Deaths with proof, and the calls of an armed container, for which the thread that kept its capabilities attaches
/// programs.
fn hears_the_kernel(lab: &mut Lab) -> Result<()> {
    let pid = lab.daemon.pid();
    lab::each_thread(pid, "Uid:", "4711\t4711\t4711\t4711")?;
    lab::each_thread(pid, "Gid:", "4712\t4712\t4712\t4712")?;
    lab::each_thread(pid, "Seccomp:", "2")?;
    let mut kept = lab::of_each_thread(pid, "CapEff:")?;
    kept.retain(|caps| caps != "0000000000000000");
    assert_eq!(kept, ["000000c000000000"]);

    let (cgroup, elsewhere) = (lab::cgroup("user")?, lab::cgroup("user-sender")?);
    let sleeper = Life::start(&cgroup, VICTIM, &["sleep"])?;
    let victim = sleeper.pid();
    let sender = lab::send(&elsewhere, victim, "9")?;
    sleeper.end()?;
    let report = lab.report(victim)?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["grade"], "proven", "{verdict:#}");
    assert_eq!(verdict["facts"]["sender_pid"], sender, "{verdict:#}");
    assert_eq!(report["completeness"]["complete"], true);

    let script = "sleep 0.3; exit 3";
    let args = ["--pid", "--fork", "--kill-child", "sh", "-c", script];
    for armed in [false, true] {
        let cgroup = lab::cgroup("user-lives")?;
        let (_, status, _) = lab::run_as(&cgroup, "unshare", &args)?;
        assert_eq!(status.code(), Some(3));
        let report = lab.report_on(&cgroup)?;
        assert_eq!(report["tail"].is_object(), armed, "{:#}", report["tail"]);
    }
    Ok(())
}

#[test]
fn a_user_that_cannot_be_had_is_an_error() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let output = Command::new("setpriv")
        .args([
            "--bounding-set=-all,+cap_38,+cap_39",
            "--inh-caps=-all",
            DAEMON,
        ])
        .env("BLACKBOX_KUBERNETES", "off")
        .env("BLACKBOX_RUN_AS", "4711")
        .env("BLACKBOX_OUTPUT_PATH", directory.path())
        .output()?;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("BLACKBOX_RUN_AS=4711:4711"), "{said}");
    assert!(said.contains("CAP_SETUID"), "{said}");
    Ok(())
}

/// Its files may be somebody's: `/var/log`.
#[test]
fn a_directory_with_files_does_not_change_hands() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    fs::write(directory.path().join("somebodys"), "")?;
    let output = Command::new(DAEMON)
        .env("BLACKBOX_KUBERNETES", "off")
        .env("BLACKBOX_RUN_AS", "4711")
        .env("BLACKBOX_METRICS_ENABLED", "false")
        .env("BLACKBOX_OUTPUT_PATH", directory.path())
        .output()?;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr)?;
    assert!(
        said.contains("make it a directory that uid 4711 can write"),
        "{said}"
    );
    assert_eq!(access(directory.path())?, (0, 0, 0o755));
    Ok(())
}
