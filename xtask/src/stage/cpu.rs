//! A CPU limit on a cgroup of ours: in its own folder on cgroup v2, in the same path of the CPU hierarchy on v1.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::cgroup::{Cgroup, mounted};

/// The limit. Dropped, a folder made for it is removed, if its processes have ended.
#[derive(Debug)]
pub struct CpuLimit {
    /// Of cgroup v1.
    made: Option<PathBuf>,
}

impl CpuLimit {
    /// Lets `processes` and their children, which live in `cgroup`, run for `quota` in each `period`.
    ///
    /// # Errors
    /// There is no CPU controller, or it refuses.
    pub fn set(
        cgroup: &Cgroup,
        (quota, period): (Duration, Duration),
        processes: &[u32],
    ) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
        let (quota, period) = (quota.as_micros(), period.as_micros());
        let Some(root) = mounted(&mounts, "cgroup", "cpu") else {
            cgroup.delegate("cpu")?;
            write(
                cgroup.folder().join("cpu.max"),
                &format!("{quota} {period}"),
            )?;
            return Ok(Self { made: None });
        };
        let folder = root.join(cgroup.path().trim_start_matches('/'));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        write(folder.join("cpu.cfs_period_us"), &period.to_string())?;
        write(folder.join("cpu.cfs_quota_us"), &quota.to_string())?;
        for process in processes {
            write(folder.join("cgroup.procs"), &process.to_string())?;
        }
        Ok(Self { made: Some(folder) })
    }
}

impl Drop for CpuLimit {
    fn drop(&mut self) {
        // Not empty or busy further up: somebody else's. There is nobody to tell.
        for folder in self.made.iter().flat_map(|made| made.ancestors().take(4)) {
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }
}

fn write(path: PathBuf, value: &str) -> Result<()> {
    fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
}
