//! What a process holds as time goes on, and whether that grows.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Descriptors or threads that come and go: a connection, a file that is read.
const PASSING: usize = 3;

/// What it holds at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    at: Duration,
    /// Bytes.
    resident: u64,
    descriptors: usize,
    threads: usize,
}

impl Look {
    pub(crate) fn at(at: Duration, pid: u32) -> Result<Self> {
        let of = |folder: &str| -> Result<Vec<PathBuf>> {
            let path = format!("/proc/{pid}/{folder}");
            let entries = fs::read_dir(&path).with_context(|| path.clone())?;
            Ok(entries.flatten().map(|entry| entry.path()).collect())
        };
        // The directory of a cgroup that is there is kept open, and there are as many as there are; of one that is gone it is a
        // descriptor like others.
        let is_cgroup = |descriptor: &PathBuf| {
            let target = fs::read_link(descriptor);
            target.is_ok_and(|target| target.starts_with("/sys/fs/cgroup") && target.is_dir())
        };
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = statm.split(' ').nth(1).context("no size")?.parse()?;
        Ok(Self {
            at,
            resident: pages * rustix::param::page_size() as u64,
            descriptors: of("fd")?.iter().filter(|one| !is_cgroup(one)).count(),
            threads: of("task")?.len(),
        })
    }
}

impl fmt::Display for Look {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.resident as f64 / 1_048_576.0;
        write!(
            out,
            "{mib:.1} MiB, {} descriptors, {} threads",
            self.descriptors, self.threads
        )
    }
}

/// All looks, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Trend {
    pub(crate) looks: Vec<Look>,
}

impl Trend {
    /// Asserts that descriptors and threads are no more in the last quarter than in the second: by medians, and
    /// but for what is passing.
    pub(crate) fn assert_flat(&self) {
        let quarter = self.looks.len() / 4;
        assert!(quarter >= 2, "too few looks: {}", self.looks.len());
        let (second, last) = (
            &self.looks[quarter..2 * quarter],
            &self.looks[self.looks.len() - quarter..],
        );
        for (what, of) in [
            (
                "descriptors",
                (|look| look.descriptors) as fn(&Look) -> usize,
            ),
            ("threads", |look| look.threads),
        ] {
            let [before, after] = [second, last].map(|looks| {
                let mut all: Vec<usize> = looks.iter().map(of).collect();
                all.sort_unstable();
                all[all.len() / 2]
            });
            assert!(
                after <= before + PASSING,
                "{what}: {before}, and {after} at the end"
            );
        }
    }

    /// By how much resident memory grows after `settled`, bytes in an hour: the line through all looks with the least squares.
    pub(crate) fn slope(&self, settled: Duration) -> f64 {
        let points: Vec<(f64, f64)> = self
            .looks
            .iter()
            .filter(|look| look.at >= settled)
            .map(|look| (look.at.as_secs_f64() / 3600.0, look.resident as f64))
            .collect();
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let together: f64 = points
            .iter()
            .map(|point| (point.0 - x) * (point.1 - y))
            .sum();
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        together / spread
    }
}

#[test]
fn a_slope_is_that_of_what_came_after_settling() {
    let look = |minutes: u64, mib: u64| Look {
        at: Duration::from_secs(60 * minutes),
        resident: mib << 20,
        descriptors: 0,
        threads: 0,
    };
    let looks = vec![look(0, 500), look(30, 60), look(60, 61), look(90, 62)];
    let slope = Trend { looks }.slope(Duration::from_secs(1800));
    assert!((slope / 1_048_576.0 - 2.0).abs() < 1e-9, "{slope}");
}
