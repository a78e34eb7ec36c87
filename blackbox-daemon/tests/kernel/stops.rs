//! SIGTERM: what it ends by default, what handles it, and who sent it.

use anyhow::Result;
use serde_json::Value;

use crate::lab::{self, Lab, Life, VICTIM};

/// A shell that ends with `code` when it is asked to.
fn obedient(cgroup: &xtask::stage::Cgroup, code: u8) -> Result<Life> {
    let script = format!("trap 'exit {code}' TERM; echo ready; while :; do sleep 0.05; done");
    let mut shell = Life::start(cgroup, "sh", &["-c", &script])?;
    shell.wait_for_word("ready")?;
    Ok(shell)
}

#[test]
fn by_default_it_kills_and_the_sender_is_named() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let (cgroup, elsewhere) = (lab::cgroup("default")?, lab::cgroup("default-sender")?);
    let sleeper = Life::start(&cgroup, VICTIM, &["sleep"])?;
    let pid = sleeper.pid();
    let sender = lab::send(&elsewhere, pid, "15")?;
    sleeper.end()?;

    let report = lab.report(pid)?;
    let verdict = &report["verdict"];
    let facts = &verdict["facts"];
    assert_eq!(verdict["grade"], "proven", "{verdict:#}");
    assert_eq!(verdict["cause"], "killed_by_signal", "{verdict:#}");
    assert_eq!(facts["signal_name"], "SIGTERM");
    assert_eq!(facts["sender_pid"], sender);
    assert_eq!(facts["sender_comm"], "blackbox-killer");
    assert_eq!(facts["sender_cgroup"], elsewhere.path().as_str());
    Ok(())
}

#[test]
fn handled_and_ended_with_0_is_no_incident() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let (cgroup, elsewhere) = (lab::cgroup("handled")?, lab::cgroup("handled-sender")?);
    let shell = obedient(&cgroup, 0)?;
    let pid = shell.pid();
    lab::send(&elsewhere, pid, "15")?;
    assert!(shell.end()?.0.success());

    // A later death in the same cgroup shows that the end of the shell was seen, and judged harmless.
    let report = lab.report_on(&cgroup)?;
    let exits = lab::entries(&report, &cgroup, "process_exit");
    let tag = pid.to_string();
    assert!(
        exits.iter().any(|exit| exit["tags"]["pid"] == tag.as_str()),
        "{exits:#?}"
    );
    let about = lab.reports_at_the_end(pid)?;
    assert!(about.is_empty(), "{about:#?}");
    Ok(())
}

#[test]
fn handled_and_ended_with_3_tells_who_asked() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let (cgroup, elsewhere) = (lab::cgroup("code3")?, lab::cgroup("code3-sender")?);
    let shell = obedient(&cgroup, 3)?;
    let pid = shell.pid();
    let sender = lab::send(&elsewhere, pid, "15")?;
    assert_eq!(shell.end()?.0.code(), Some(3));

    let report = lab.report(pid)?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["cause"], "exit_code", "{verdict:#}");
    assert_eq!(verdict["facts"]["exit_code"], 3, "{verdict:#}");
    let asked = format!(
        "blackbox-killer (pid {sender}) in cgroup {} had sent it SIGTERM",
        elsewhere.path()
    );
    let statements: Vec<&Value> = verdict["statements"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let told = |statement: &&&Value| {
        statement["text"]
            .as_str()
            .is_some_and(|text| text.contains(&asked))
    };
    assert!(
        statements.iter().any(|statement| told(&statement)),
        "{verdict:#}"
    );
    Ok(())
}
