//! Out of memory, told from what only looks like it.

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::stage::Cgroup;

use crate::lab::{self, Lab, Life, VICTIM, VICTIM_COMM, said};

const MIB: u64 = 1 << 20;

/// Kills at the same time: the victim's death and the killer's mark of it come in either order.
const AT_ONCE: usize = 6;

/// The kernel kills the largest process, whoever allocates: both are told apart.
#[test]
fn the_victim_and_the_allocating_process_can_differ() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let mut kills = Vec::new();
    for index in 0..AT_ONCE {
        let cgroup = lab::cgroup(&format!("other-{index}"))?;
        cgroup.set_memory_limit(96 * MIB)?;
        let mut large = Life::start(&cgroup, VICTIM, &["hold", "64"])?;
        large.wait_for_word("holding")?;
        let small = Life::start(&cgroup, VICTIM, &["oom"])?;
        kills.push((large, small, cgroup));
    }
    for (large, small, cgroup) in kills {
        let (victim, allocator) = (large.pid(), small.pid());
        large.end()?;
        small.end()?;
        assert_killed_for(&lab.report(victim)?, allocator, &cgroup);
    }
    Ok(())
}

/// Memory is used up within milliseconds, and still both processes are told: the victim by the kernel's own record, the
/// other one by the look right after the kill.
#[test]
fn the_ledger_shows_who_had_the_memory() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("ledger")?;
    cgroup.set_memory_limit(96 * MIB)?;
    let mut large = Life::start(&cgroup, VICTIM, &["hold", "64"])?;
    large.wait_for_word("holding")?;
    let mut small = Life::start(&cgroup, VICTIM, &["hold", "8"])?;
    small.wait_for_word("holding")?;
    let last = Life::start(&cgroup, VICTIM, &["oom"])?;
    let (victim, other) = (large.pid(), small.pid());
    large.end()?;
    let report = lab.report(victim)?;
    drop((small, last));

    let ledger = &report["oom_ledger"];
    let levels = ledger["levels"].as_array().context("no levels")?;
    let full = levels.last().context("no level")?;
    assert_eq!(full["hit"], true, "{ledger:#}");
    assert_eq!(full["limit_bytes"], 96 * MIB);
    assert_eq!(full["cgroup_path"], cgroup.path().as_str());
    // `oom` waits for a second before it allocates: a sample saw what was held by then.
    let anon = full["parts"]["anon_bytes"].as_u64().unwrap_or(0);
    assert!(anon >= 64 * MIB, "{ledger:#}");
    let rss = |pid: u32| {
        let rows = ledger["processes"].as_array().into_iter().flatten();
        let mut rows = rows.filter(|row| row["pid"] == pid);
        rows.next().and_then(|row| row["rss_bytes"].as_u64())
    };
    let near = |told: Option<u64>, held: u64| {
        told.is_some_and(|told| told >= held * 3 / 4 && told <= held * 5 / 4 + 4 * MIB)
    };
    assert!(near(rss(victim), 64 * MIB), "{ledger:#}");
    assert!(near(rss(other), 8 * MIB), "{ledger:#}");
    assert_eq!(ledger["processes"][0]["pid"], victim, "{ledger:#}");
    assert_eq!(ledger["processes"][0]["victim"], true);
    Ok(())
}

/// Whoever is near the limit is looked at before there is any kill.
#[test]
fn what_is_near_its_limit_is_looked_into() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("near")?;
    cgroup.set_memory_limit(80 * MIB)?;
    let mut near = Life::start(&cgroup, VICTIM, &["hold", "70"])?;
    near.wait_for_word("holding")?;
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let pid = near.kill()?;
    let report = lab.report(pid)?;
    let looks = lab::entries(&report, &cgroup, "process_memory");
    let said = looks
        .first()
        .map_or(String::new(), |it| it["value"].to_string());
    assert!(
        said.contains(&format!("{VICTIM_COMM} (pid {pid}) 7")),
        "{said} {looks:#?}"
    );
    Ok(())
}

fn assert_killed_for(report: &Value, allocator: u32, cgroup: &Cgroup) {
    let verdict = &report["verdict"];
    let facts = &verdict["facts"];
    assert_eq!(report["incident"]["type"], "oom", "{verdict:#}");
    assert_eq!(verdict["grade"], "proven", "{verdict:#}");
    assert_eq!(verdict["cause"], "memory_limit", "{verdict:#}");
    assert_eq!(facts["allocator_pid"], allocator, "{verdict:#}");
    assert_eq!(facts["allocator_comm"], VICTIM_COMM);
    assert_eq!(facts["limit_cgroup"], cgroup.path().as_str());
    assert_eq!(facts["limit_bytes"], 96 * MIB);
    let resident = facts["victim_rss_bytes"].as_u64().unwrap_or(0);
    assert!((64 * MIB..80 * MIB).contains(&resident), "{verdict:#}");
    let statements = verdict["statements"].to_string();
    let whose = format!("was that of {VICTIM_COMM} (pid {allocator})");
    assert!(statements.contains(&whose), "{statements}");
}

/// 137 is what a shell says of a child killed by SIGKILL; anyone can say it.
#[test]
fn exit_code_137_is_never_an_oom_kill() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("code")?;
    cgroup.set_memory_limit(64 * MIB)?;
    let shell = Life::start(&cgroup, "sh", &["-c", "sleep 0.2; exit 137"])?;
    let pid = shell.pid();
    let (status, _) = shell.end()?;
    assert_eq!(status.code(), Some(137));

    let report = lab.report(pid)?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["cause"], "exit_code", "{verdict:#}");
    assert_eq!(verdict["facts"]["exit_code"], 137, "{verdict:#}");
    assert_eq!(report["incident"]["type"], "crash");
    let said = said(&report).to_lowercase();
    for word in ["oom", "out of memory", "memory limit", "memory_limit"] {
        assert!(!said.contains(word), "{word} is in {said}");
    }
    Ok(())
}

/// Near its limit a container is armed: its calls are kept, and it is sampled four times as often.
#[test]
fn near_its_limit_a_container_is_looked_at_more_closely() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("near")?;
    cgroup.set_memory_limit(64 * MIB)?;
    let mut held = Life::start(&cgroup, VICTIM, &["hold", "60"])?;
    held.wait_for_word("holding")?;
    // A tick finds it; four seconds of four samples each are left.
    std::thread::sleep(std::time::Duration::from_secs(6));
    let pid = held.kill()?;
    let report = lab.report(pid)?;
    let armed = lab::entries(&report, &cgroup, "arming");
    let why = armed.first().and_then(|entry| entry["value"].as_str());
    assert!(why.is_some_and(|why| why.contains("memory")), "{armed:#?}");
    let samples = lab::entries(&report, &cgroup, "container_memory_current_bytes");
    assert!(samples.len() >= 12, "{} samples", samples.len());
    Ok(())
}
