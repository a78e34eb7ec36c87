//! A full or broken disk: the daemon lives, says so within 2 s, keeps the report of a death, and is well again within 30 s.
//!
//! Each test breaks a real file system under a running daemon, in a mount namespace of its own, and prints what it took.
#![expect(clippy::print_stdout, reason = "prints what was measured")]

mod client;
mod ground;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use self::ground::{Disk, Ground};
use crate::lab::{LIMIT, is_about};

/// Within which a fault is told.
const TOLD: Duration = Duration::from_secs(2);
/// Within which the daemon is well again.
const HEALED: Duration = Duration::from_secs(30);

/// Waits until the fault is told, in time, and prints that.
fn told(ground: &mut Ground, fault: &str) -> Result<String> {
    let (took, why) = ground.client.until_degraded(true, TOLD)?;
    println!(
        "disk: {fault}: degraded after {:.2} s: {why}",
        took.as_secs_f64()
    );
    Ok(why)
}

/// Waits until the daemon is well again and the report about `pid` is a file, in time, and prints that.
fn healed(ground: &mut Ground, fault: &str, pid: u32) -> Result<()> {
    let (took, _) = ground.client.until_degraded(false, HEALED)?;
    ground.until_file(pid, HEALED.saturating_sub(took))?;
    println!("disk: {fault}: recovered after {:.2} s", took.as_secs_f64());
    let reports = ground.files("json")?;
    let count = reports
        .iter()
        .filter(|report| is_about(report, pid))
        .count();
    assert_eq!(count, 1, "told once");
    Ok(())
}

/// The one report of this process says how the disk fared.
fn says_so(reports: &[Value], pid: u32) -> Result<()> {
    let report = reports.iter().find(|report| is_about(report, pid));
    let completeness = &report.context("no report")?["completeness"];
    assert_eq!(
        completeness["durability"][0]["part"], "reports",
        "{completeness:#}"
    );
    let notes = completeness["notes"].to_string();
    assert!(
        notes.contains("what is kept on disk was degraded"),
        "{notes}"
    );
    Ok(())
}

fn full(disk: Disk, fault: &str) -> Result<()> {
    let mut ground = Ground::start(disk)?;
    let earlier = ground.death("earlier")?;
    ground.until_file(earlier, LIMIT)?;
    let hog = ground.fill("disk")?;
    told(&mut ground, fault)?;

    let pid = ground.death("reserved")?;
    let took = ground.until_reserved(pid, LIMIT)?;
    println!(
        "disk: {fault}: in the reserve {:.2} s after the death",
        took.as_secs_f64()
    );
    // The API reads it from there.
    let listed = ground.client.get("/api/v1/incidents")?;
    let id = listed["incidents"][0]["id"]
        .as_str()
        .context("no incident")?
        .to_owned();
    let report = ground
        .client
        .get(&format!("/api/v1/incidents/{id}?format=json"))?;
    assert!(is_about(&report, pid), "{report:#}");

    fs::remove_file(hog)?;
    healed(&mut ground, fault, pid)?;
    says_so(&ground.files("json")?, pid)?;
    let reports = ground.files("json")?;
    assert!(
        reports.iter().any(|report| is_about(report, earlier)),
        "older reports are there"
    );
    ground.finish()
}

#[test]
fn a_full_ext4() -> Result<()> {
    full(Disk::Ext4, "full ext4")
}

#[test]
fn a_full_tmpfs() -> Result<()> {
    full(Disk::Tmpfs, "full tmpfs")
}

#[test]
fn no_inodes_are_left() -> Result<()> {
    let fault = "no inodes";
    let mut ground = Ground::start(Disk::Tmpfs)?;
    let hogs = ground.fill_inodes()?;
    told(&mut ground, fault)?;
    let pid = ground.death("inodes")?;
    let took = ground.until_reserved(pid, LIMIT)?;
    println!(
        "disk: {fault}: in the reserve {:.2} s after the death",
        took.as_secs_f64()
    );
    hogs.iter().try_for_each(fs::remove_file)?;
    healed(&mut ground, fault, pid)?;
    ground.finish()
}

/// A daemon that is killed on a full disk leaves its reports in the reserve; the next one starts there, and makes files.
#[test]
fn a_start_on_a_full_disk() -> Result<()> {
    let fault = "killed and started on a full ext4";
    let mut ground = Ground::start(Disk::Ext4)?;
    ground.fill("disk")?;
    told(&mut ground, fault)?;
    let pid = ground.death("reserved")?;
    ground.until_reserved(pid, LIMIT)?;
    ground.restart()?;
    told(&mut ground, fault)?;
    let second = ground.death("second")?;
    ground.until_reserved(second, LIMIT)?;
    ground.until_reserved(pid, LIMIT)?;
    fs::remove_file(ground.inside("disk/hog"))?;
    healed(&mut ground, fault, pid)?;
    healed(&mut ground, fault, second)?;
    ground.finish()
}

#[test]
fn a_disk_that_became_read_only() -> Result<()> {
    for disk in [Disk::Ext4, Disk::Tmpfs] {
        let fault = format!("read-only {disk:?}");
        let mut ground = Ground::start(disk)?;
        let place = ground.own("disk")?;
        ground.enter(&["mount", "-o", "remount,ro", &place])?;
        assert_eq!(told(&mut ground, &fault)?, "the file system is read-only");
        // Nothing can be written there: the report waits in memory, and the log tells the incident.
        let pid = ground.death("waits")?;
        thread::sleep(Duration::from_secs(3));
        assert!(
            ground.daemon.log()?.contains(&format!("{pid}")),
            "{}",
            ground.daemon.log()?
        );
        ground.enter(&["mount", "-o", "remount,rw", &place])?;
        healed(&mut ground, &fault, pid)?;
        says_so(&ground.files("json")?, pid)?;
        ground.finish()?;
    }
    Ok(())
}

#[test]
fn a_directory_that_was_removed() -> Result<()> {
    let fault = "directory removed";
    let mut ground = Ground::start(Disk::Ext4)?;
    fs::remove_dir_all(ground.reports())?;
    told(&mut ground, fault)?;
    let pid = ground.death("removed")?;
    healed(&mut ground, fault, pid)?;
    ensure!(ground.reports().join(".reserve").is_file());
    ground.finish()
}

#[test]
fn no_descriptors_are_left() -> Result<()> {
    let fault = "no descriptors";
    let mut ground = Ground::start(Disk::Ext4)?;
    let pid = ground.daemon.pid();
    // Only numbers below the limit can be had, and all of these are taken.
    let taken: Vec<u32> = fs::read_dir(format!("/proc/{pid}/fd"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let free = (0..)
        .find(|number| !taken.contains(number))
        .context("a number")?;
    limit(pid, free)?;
    assert_eq!(told(&mut ground, fault)?, "no descriptors are left");
    let dead = ground.death("descriptors")?;
    let took = ground.until_file(dead, LIMIT)?;
    println!(
        "disk: {fault}: a file {:.2} s after the death",
        took.as_secs_f64()
    );
    limit(pid, 1024)?;
    healed(&mut ground, fault, dead)?;
    says_so(&ground.files("json")?, dead)?;
    ground.finish()
}

/// Sets the soft limit of open files.
fn limit(pid: u32, files: u32) -> Result<()> {
    let words = ["--pid", &pid.to_string(), &format!("--nofile={files}:")];
    let status = Command::new("prlimit").args(words).status()?;
    ensure!(status.success(), "prlimit: {status}");
    Ok(())
}

#[test]
fn planted_links() -> Result<()> {
    let fault = "planted links";
    let mut ground = Ground::start(Disk::Ext4)?;
    let (reports, victim) = (ground.reports(), ground.own("outside/victim")?);
    let reserve = reports.join(".reserve");
    // In the place of the reserve: a link, a pipe.
    fs::remove_file(&reserve)?;
    symlink(&victim, &reserve)?;
    told(&mut ground, fault)?;
    ground.client.until_degraded(false, HEALED)?;
    ensure!(fs::symlink_metadata(&reserve)?.is_file());
    fs::remove_file(&reserve)?;
    rustix::fs::mkfifoat(rustix::fs::CWD, &reserve, rustix::fs::Mode::RWXU)?;
    told(&mut ground, "a planted pipe")?;
    ground.client.until_degraded(false, HEALED)?;

    // In the place of the directory.
    let aside = reports.with_extension("aside");
    fs::rename(&reports, &aside)?;
    symlink(ground.own("outside")?, &reports)?;
    told(&mut ground, "a link in the directory's place")?;
    let pid = ground.death("link")?;
    thread::sleep(Duration::from_secs(3));
    fs::remove_file(&reports)?;
    fs::rename(&aside, &reports)?;
    healed(&mut ground, fault, pid)?;
    ground.finish()
}

/// A real I/O error: below the file system there is no room for blocks that were never written, so fsync fails.
#[test]
fn an_fsync_that_fails() -> Result<()> {
    let fault = "fsync fails";
    let mut ground = Ground::start(Disk::Hollow)?;
    let hog = ground.fill("below")?;
    let pid = ground.death("lost")?;
    let took = ground.until_reserved(pid, LIMIT)?;
    println!(
        "disk: {fault}: in the reserve {:.2} s after the death",
        took.as_secs_f64()
    );
    told(&mut ground, fault)?;
    assert!(ground.files("json")?.is_empty(), "the file was thrown away");
    let log = ground.daemon.log()?;
    assert!(
        log.contains("fsync failed: the file is thrown away and made anew"),
        "{log}"
    );
    fs::remove_file(hog)?;
    healed(&mut ground, fault, pid)?;
    ground.finish()
}
