//! The kernel side outlives the daemon: with a bpffs, what dies while there is no daemon is told by the next one, which also
//! proves who killed the one before; nothing is counted twice, and no pin is left over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData, PerCpuArray};
use blackbox_common::header::Kind;
use blackbox_common::tally::Tally;
use serde_json::Value;
use tempfile::TempDir;
use xtask::stage::{Cgroup, Daemon, DaemonOptions};

use crate::lab::{self, DAEMON, LIMIT, Life, VICTIM, is_about};

/// A bpffs of its own. Dropped, it is unmounted, which ends what is pinned in it.
struct Bpffs(TempDir);

impl Bpffs {
    fn mount() -> Result<Self> {
        let place = TempDir::new()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "bpf", "bpf"]).arg(place.path());
        ensure!(mount.status()?.success(), "no bpffs could be mounted");
        Ok(Self(place))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("blackbox")
    }

    /// Everything that is pinned, by its path below.
    fn pins(&self) -> Result<BTreeSet<PathBuf>> {
        let mut pins = BTreeSet::new();
        for directory in std::fs::read_dir(self.path())? {
            for pin in std::fs::read_dir(directory?.path())? {
                pins.insert(pin?.path());
            }
        }
        Ok(pins)
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        if !thread::panicking() {
            assert!(unmounted.is_ok_and(|status| status.success()));
        }
    }
}

fn start(directory: &Path, bpffs: &Bpffs, env: &[(&str, &str)]) -> Result<Daemon> {
    let state = directory.join("state");
    let own = [
        ("BLACKBOX_WATCH_CGROUPS", "/blackbox-test-*".to_owned()),
        ("BLACKBOX_SETTLE_TIME", "500ms".to_owned()),
        ("BLACKBOX_THROTTLE_INTERVAL", "0s".to_owned()),
        ("BLACKBOX_BPFFS", bpffs.path().display().to_string()),
        ("BLACKBOX_STATE_DIR", state.display().to_string()),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    let env = env
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut daemon = Daemon::start(&DaemonOptions {
        binary: DAEMON.into(),
        directory: directory.to_owned(),
        env: own.chain(env).collect(),
        wrapper: Vec::new(),
    })?;
    daemon.wait_ready(LIMIT)?;
    Ok(daemon)
}

/// Kills it and waits until it is gone.
fn kill(mut daemon: Daemon) -> Result<u32> {
    let pid = daemon.pid();
    daemon.signal(rustix::process::Signal::KILL)?;
    drop(daemon);
    Ok(pid)
}

/// A report whose counts show that everything the kernel counted has a place, of the deaths of further processes.
fn settled(daemon: &mut Daemon, cgroup: &Cgroup) -> Result<Value> {
    let mut last = Value::Null;
    for _ in 0..12 {
        let pid = Life::start(cgroup, VICTIM, &["sleep"])?.kill()?;
        thread::sleep(Duration::from_millis(1500));
        let (_, report) = daemon.wait_report(LIMIT, |report| is_about(report, pid))?;
        let rows = report["completeness"]["classes"]
            .as_array()
            .context("rows")?;
        if rows.iter().all(|row| row["in_flight"] == 0) {
            return Ok(report);
        }
        last = report["completeness"]["classes"].clone();
    }
    anyhow::bail!("something is always in flight: {last:#}")
}

#[test]
fn the_next_daemon_tells_what_died_meanwhile_and_who_killed_the_one_before() -> Result<()> {
    let (bpffs, directory) = (Bpffs::mount()?, TempDir::new()?);
    let cgroup = lab::cgroup("takeover")?;
    let mut first = start(directory.path(), &bpffs, &[])?;
    let victim = Life::start(&cgroup, VICTIM, &["sleep"])?;
    settled(&mut first, &cgroup)?;
    let pins = bpffs.pins()?;
    ensure!(!pins.is_empty(), "nothing is pinned");
    let daemon = kill(first)?;
    // Nobody is there to see it.
    let victim = victim.kill()?;
    thread::sleep(Duration::from_millis(300));

    let mut second = start(directory.path(), &bpffs, &[])?;
    let (_, report) = second.wait_report(LIMIT, |report| is_about(report, victim))?;
    assert_eq!(
        report["verdict"]["grade"], "proven",
        "{:#}",
        report["verdict"]
    );
    assert_eq!(report["verdict"]["cause"], "killed_by_signal");
    let own = std::process::id();
    assert_eq!(
        report["verdict"]["facts"]["sender_pid"], own,
        "{:#}",
        report["verdict"]
    );

    let crash = |report: &Value| report["incident"]["type"] == "daemon_crash";
    let (_, crash) = second.wait_report(LIMIT, crash)?;
    assert_eq!(
        crash["verdict"]["grade"], "proven",
        "{:#}",
        crash["verdict"]
    );
    assert_eq!(crash["verdict"]["facts"]["pid"], daemon);
    assert_eq!(crash["verdict"]["facts"]["sender_pid"], own);

    // Exact again, over both lives; and nothing was told twice.
    let report = settled(&mut second, &cgroup)?;
    for row in report["completeness"]["classes"]
        .as_array()
        .context("rows")?
    {
        let number = |name: &str| row[name].as_u64().unwrap_or(0);
        let lost: u64 = row["lost"]
            .as_object()
            .map_or(0, |lost| lost.values().filter_map(Value::as_u64).sum());
        assert_eq!(number("attempted"), number("recorded") + lost, "{row}");
    }
    second.stop()?;
    let about = second.reports()?;
    assert_eq!(about.iter().filter(|it| is_about(it, victim)).count(), 1);
    assert_eq!(bpffs.pins()?, pins, "no pin more, none less");
    Ok(())
}

#[test]
fn a_daemon_that_would_load_something_else_leaves_no_pins_of_the_one_before() -> Result<()> {
    let (bpffs, directory) = (Bpffs::mount()?, TempDir::new()?);
    let first = start(directory.path(), &bpffs, &[])?;
    let pins = bpffs.pins()?;
    kill(first)?;
    let second = start(directory.path(), &bpffs, &[("BLACKBOX_SYSCALL_RATE", "7")])?;
    let others = bpffs.pins()?;
    assert_eq!(pins.len(), others.len());
    assert!(pins.is_disjoint(&others));
    // Two at once: the second has none.
    let own = TempDir::new()?;
    let third = start(own.path(), &bpffs, &[])?;
    assert!(
        third.log()?.contains("another daemon has it"),
        "{}",
        third.log()?
    );
    assert_eq!(bpffs.pins()?, others);
    kill(third)?;
    kill(second)?;
    Ok(())
}

/// Bytes of a map's only value.
fn value<const N: usize>(pin: &Path) -> Result<Array<MapData, [u8; N]>> {
    let map = Map::Array(MapData::from_pin(pin)?);
    Ok(Array::try_from(map)?)
}

/// The programs of this name that the kernel holds, by id. Other daemons have theirs.
fn loaded(name: &str) -> BTreeSet<u32> {
    let programs = aya::programs::loaded_programs().flatten();
    let named = programs.filter(|program| program.name_as_str() == Some(name));
    named.map(|program| program.id()).collect()
}

/// A container was armed when the daemon was killed, so `sys_exit` goes on with the program that keeps each call.
#[test]
fn the_next_daemon_ends_what_kept_every_call() -> Result<()> {
    let (bpffs, directory) = (Bpffs::mount()?, TempDir::new()?);
    let others = loaded("tail_exit");
    let env = [("BLACKBOX_CPU_BUDGET_PERCENT", "100")];
    let mut first = start(directory.path(), &bpffs, &env)?;
    let script = "sleep 0.3; cat /etc/no-such.yaml; exit 3";
    let live = |daemon: &mut Daemon, cgroup: &Cgroup| -> Result<Value> {
        let words = ["--pid", "--fork", "--kill-child", "sh", "-c", script];
        let (pid, ..) = lab::run_as(cgroup, "unshare", &words)?;
        let (_, report) = daemon.wait_report(LIMIT, |report| is_about(report, pid))?;
        Ok(report)
    };
    let life = lab::cgroup("armed")?;
    live(&mut first, &life)?;
    drop(life);
    // The same place again, whose former life ended badly.
    let life = lab::cgroup("armed")?;
    let report = live(&mut first, &life)?;
    ensure!(report["tail"]["rows"].is_array(), "{:#}", report["tail"]);
    let own = &loaded("tail_exit") - &others;
    assert_eq!(own.len(), 1, "one of this daemon");
    kill(first)?;
    assert!(own.is_subset(&loaded("tail_exit")), "its pin keeps it");

    let mut second = start(directory.path(), &bpffs, &env)?;
    assert!(
        own.is_disjoint(&loaded("tail_exit")),
        "nobody reads what it kept"
    );
    // And the next one keeps calls again.
    live(&mut second, &life)?;
    drop(life);
    let life = lab::cgroup("armed")?;
    let report = live(&mut second, &life)?;
    ensure!(report["tail"]["rows"].is_array(), "{:#}", report["tail"]);
    second.stop()?;
    Ok(())
}

#[test]
fn without_a_daemon_for_five_minutes_the_programs_fall_silent() -> Result<()> {
    let (bpffs, directory) = (Bpffs::mount()?, TempDir::new()?);
    let cgroup = lab::cgroup("silence")?;
    kill(start(directory.path(), &bpffs, &[])?)?;
    let pins = bpffs.pins()?;
    let pin = |name: &str| pins.iter().find(|pin| pin.ends_with(name)).context("a pin");
    let tally = Map::PerCpuArray(MapData::from_pin(pin("TALLY")?)?);
    let tally: PerCpuArray<MapData, [u64; size_of::<Tally>() / 8]> = tally.try_into()?;
    // The first numbers are those of records that were to be made, by kind.
    let tried = || -> Result<u64> {
        let cpus = tally.get(&0, 0)?;
        Ok(cpus.iter().flat_map(|cpu| &cpu[..Kind::COUNT]).sum())
    };
    let live_and_die = || -> Result<u64> {
        let before = tried()?;
        for _ in 0..20 {
            Life::start(&cgroup, VICTIM, &["sleep"])?.kill()?;
        }
        Ok(tried()? - before)
    };
    ensure!(live_and_die()? >= 40, "they record without a daemon");

    let mut daemon = value::<{ size_of::<blackbox_common::daemon::Daemon>() }>(pin("DAEMON")?)?;
    let mut told = daemon.get(&0, 0)?;
    let now = blackbox_daemon::clock::boot_now();
    let long_ago = now.minus(Duration::from_secs(301)).0;
    told[..8].copy_from_slice(&long_ago.to_le_bytes());
    daemon.set(0, told, 0)?;
    assert_eq!(live_and_die()?, 0, "they are silent");

    // And the next daemon hears them again.
    let mut next = start(directory.path(), &bpffs, &[])?;
    // Until the deaths from before are told: they speak for those that are like them.
    thread::sleep(Duration::from_secs(2));
    settled(&mut next, &cgroup)?;
    next.stop()?;
    Ok(())
}
