//! What the window on disk costs that disk on an ordinary node: bytes at the block device, beside those that were meant to be
//! written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::lab::{self, Lab, Life, VICTIM};
use crate::metrics::{page, value};

const METRICS: u16 = 18_974;
/// Containers, of which one is busy: 60 calls a second that fail, and 20 processes.
const CONTAINERS: usize = 30;
const SPAN: Duration = Duration::from_secs(40);
/// Rounds of the busy one: longer than that.
const ROUNDS: &str = "1200";
/// The promises: bytes a second, and at the device for each byte that was to be written.
const RATE: f64 = 40.0 * 1024.0;
const AMPLIFICATION: f64 = 1.2;
/// What of the two is under way at any time, bytes: a second's writes are synced together.
const UNDER_WAY: f64 = RATE;
/// Sectors of `/sys/block/*/stat` (Documentation/block/stat.rst).
const SECTOR: f64 = 512.0;

/// ext4 in a file, on a block device of its own. Dropped, it is unmounted.
struct Disk {
    mount: PathBuf,
    device: String,
    _folder: tempfile::TempDir,
}

fn run(program: &str, words: &[&Path]) -> Result<String> {
    let output = Command::new(program)
        .args(words)
        .output()
        .context(program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {words:?}: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl Disk {
    fn make() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (image, mount) = (folder.path().join("image"), folder.path().join("disk"));
        fs::File::create(&image)?.set_len(96 << 20)?;
        fs::create_dir(&mount)?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &image])?;
        run("mount", &["-o".as_ref(), "loop".as_ref(), &image, &mount])?;
        let device = run("findmnt", &["-no".as_ref(), "SOURCE".as_ref(), &mount])?;
        Ok(Self {
            mount,
            device: device.replace("/dev/", ""),
            _folder: folder,
        })
    }

    /// Bytes written to the device since it was made.
    fn written(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/sys/block/{}/stat", self.device))?;
        let sectors = stat.split_whitespace().nth(6).context("no seventh field")?;
        Ok(sectors.parse::<f64>()? * SECTOR)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whatever still looks at it must not keep it for ever.
        Command::new("umount")
            .arg("-l")
            .arg(&self.mount)
            .status()
            .ok();
    }
}

#[test]
fn an_ordinary_node_writes_little_and_the_device_no_more() -> Result<()> {
    let disk = Disk::make()?;
    let reports = tempfile::tempdir()?;
    let lab = Lab::start(&[
        (
            "BLACKBOX_STATE_DIR",
            &disk.mount.join("state").to_string_lossy(),
        ),
        ("BLACKBOX_OUTPUT_PATH", &reports.path().to_string_lossy()),
        ("BLACKBOX_METRICS_ENABLED", "true"),
        ("BLACKBOX_METRICS_ADDRESS", "127.0.0.1"),
        ("BLACKBOX_METRICS_PORT", &METRICS.to_string()),
    ])?;
    let cgroups = (0..CONTAINERS)
        .map(|number| lab::cgroup(&format!("ordinary-{number}")))
        .collect::<Result<Vec<_>>>()?;
    let mut lives = Vec::new();
    for cgroup in &cgroups[1..] {
        lives.push(Life::start(cgroup, VICTIM, &["pause"])?);
    }
    lives.push(Life::start(&cgroups[0], VICTIM, &["quiet", ROUNDS])?);
    // The file itself is made first, and what began is recorded.
    thread::sleep(Duration::from_secs(5));
    let look = || -> Result<(f64, f64, f64)> {
        let page = page(METRICS)?;
        let [meant, records] = [
            "blackbox_journal_written_bytes_total",
            "blackbox_records_recorded_total",
        ]
        .map(|name| value(&page, name));
        Ok((disk.written()?, meant, records))
    };
    let before = look()?;
    thread::sleep(SPAN);
    let after = look()?;
    let [device, meant, records] = [after.0 - before.0, after.1 - before.1, after.2 - before.2]
        .map(|more| more / SPAN.as_secs_f64());
    println!(
        "{records:.0} records/s: {meant:.0} bytes/s to be written, {device:.0} bytes/s at the device"
    );
    assert!(records > 50.0 && meant > 1_000.0, "nothing was recorded");
    assert!(device <= RATE, "{device:.0} bytes/s");
    assert!(
        device <= meant * AMPLIFICATION + UNDER_WAY / SPAN.as_secs_f64(),
        "{device:.0} for {meant:.0} bytes/s"
    );
    drop(lab);
    Ok(())
}
