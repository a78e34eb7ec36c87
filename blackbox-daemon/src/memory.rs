//! The soft limit of the daemon's own memory: looked at each second, known to those who can do with less.
//!
//! Reads `/proc/self/statm`. The number is the resident size: what the process has touched, its program and the kernel's rings
//! (mapped once) included. The cgroup's own count would hold pages of files too, which the kernel takes back by itself. Above
//! the limit bulk records are shed and sidecars are asked to wait, until it is below nine tenths of it. Decisive records are
//! never touched.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::allocator;
use crate::clock;
use crate::record::Class;

/// How often it looks.
pub const EVERY: Duration = Duration::from_secs(1);
/// What the daemon takes beside rings and window (30 MiB), and two reports of all of it while they are made, bytes.
const REST: u64 = 68 << 20;
/// Growth since the last time after which free memory is given back, bytes.
const GROWTH: u64 = 2 << 20;
/// And so often at most, looks.
const PAUSE: u64 = 5;

/// The limit that fits what is configured: `kept` bytes of rings and window, in a cgroup whose limit is `allowed`.
#[must_use]
pub fn fitting(kept: u64, allowed: Option<u64>) -> u64 {
    let wanted = kept.saturating_add(REST);
    // The rest of it is the kernel's: maps, page tables, sockets.
    allowed.map_or(wanted, |allowed| wanted.min(allowed / 5 * 4))
}

/// The memory limit of this process's cgroup, bytes. `None`: there is none, or it cannot be read.
#[must_use]
pub fn allowed() -> Option<u64> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = |line: &str| {
        line.splitn(3, ':')
            .nth(2)
            .map(|path| path.trim_start_matches('/').to_owned())
    };
    let unified = cgroups
        .lines()
        .find(|line| line.starts_with("0::"))
        .and_then(path);
    let memory = cgroups
        .lines()
        .find(|line| line.contains(":memory:"))
        .and_then(path);
    // In a container its own cgroup is the root of what is mounted.
    let v2 = unified.into_iter().flat_map(|path| {
        [
            format!("/sys/fs/cgroup/{path}/memory.max"),
            "/sys/fs/cgroup/memory.max".to_owned(),
        ]
    });
    let v1 = memory.into_iter().flat_map(|path| {
        let file = "memory.limit_in_bytes";
        [
            format!("/sys/fs/cgroup/memory/{path}/{file}"),
            format!("/sys/fs/cgroup/memory/{file}"),
        ]
    });
    let text = v2
        .chain(v1)
        .find_map(|path| std::fs::read_to_string(path).ok())?;
    // cgroup v1 writes "no limit" as a number that no machine has.
    text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
}

/// How the daemon stands to its limit. Clones are handles on the same state.
#[derive(Clone, Debug)]
pub struct Memory(Arc<State>);

#[derive(Debug)]
struct State {
    limit: u64,
    resident: AtomicU64,
    short: AtomicBool,
    times: AtomicU64,
}

impl Memory {
    /// Nothing looked at yet. `limit`: bytes.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(State {
            limit,
            resident: AtomicU64::new(0),
            short: AtomicBool::new(false),
            times: AtomicU64::new(0),
        }))
    }

    /// Whether it is above its limit, or was and has not come down yet.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.0.short.load(Ordering::Relaxed)
    }

    /// Bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// How often it came above its limit.
    #[must_use]
    pub fn times(&self) -> u64 {
        self.0.times.load(Ordering::Relaxed)
    }

    /// Takes the size of this moment, bytes.
    pub fn look(&self, resident: u64) {
        self.0.resident.store(resident, Ordering::Relaxed);
        let limit = self.0.limit;
        let was = self.is_short();
        let is = if was {
            resident > limit / 10 * 9
        } else {
            resident > limit
        };
        if was == is {
            return;
        }
        self.0.short.store(is, Ordering::Relaxed);
        if is {
            self.0.times.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                resident,
                limit,
                "memory degraded: bulk records are shed, and sidecars asked to wait"
            );
        } else {
            tracing::info!(
                resident,
                limit,
                "memory restored: everything is recorded again"
            );
        }
    }

    /// Looks each second until `stop`, and gives back what lies free.
    pub async fn watch(self, proc_root: PathBuf, stop: CancellationToken) {
        let (mut given, mut since) = (0, 0);
        loop {
            let turn = tokio::time::sleep(clock::until_next(clock::boot_now(), EVERY));
            if stop.run_until_cancelled(turn).await.is_none() {
                return;
            }
            since += 1;
            let Some(mut resident) = resident(&proc_root) else {
                continue;
            };
            let grown = resident > given + GROWTH && since >= PAUSE;
            if grown || resident > self.0.limit {
                allocator::give_back();
                resident = self::resident(&proc_root).unwrap_or(resident);
                (given, since) = (resident, 0);
            }
            self.look(resident);
        }
    }
}

/// Whether a record of this class is shed when memory is short. Counts and the node's own samples are few, and a sidecar was
/// told that what it sent is recorded.
#[must_use]
pub fn sheds(class: Class) -> bool {
    matches!(class, Class::FailedCall | Class::Call | Class::CgroupSample)
}

/// Resident size of this process, bytes.
fn resident(proc_root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(proc_root.join("self/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_from_above_the_limit_until_well_below() {
        let memory = Memory::new(100);
        for (resident, short) in [
            (100, false),
            (101, true),
            (95, true),
            (91, true),
            (90, false),
            (99, false),
            (200, true),
        ] {
            memory.look(resident);
            assert_eq!(memory.is_short(), short, "{resident}");
        }
        assert_eq!(memory.times(), 2);
    }

    #[test]
    fn the_limit_fits_what_is_configured_and_what_the_cgroup_allows() {
        assert_eq!(fitting(28 << 20, None), 96 << 20);
        assert_eq!(fitting(28 << 20, Some(512 << 20)), 96 << 20);
        assert_eq!(fitting(28 << 20, Some(80 << 20)), 64 << 20);
        assert_eq!(fitting(1 << 30, Some(10 << 30)), (1 << 30) + REST);
    }

    #[test]
    fn its_own_size_can_be_read() {
        let bytes = resident(Path::new("/proc")).unwrap();
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
    }
}
