//! Containers (and any other cgroups), from the cgroup file systems.
//!
//! Each tick walks the watched hierarchy and makes one record of each leaf cgroup in which processes live, and one of
//! each inner cgroup that has a memory limit, with its memory. Of a cgroup that is near its limit it makes another one of
//! the processes inside; the OOM killer leaves no time for that (`killed` looks once more after a kill).
//! A cgroup that is removed while it is read is an ordinary event: it gives a record of what was still there,
//! or none.

pub mod closely;
mod directory;
mod files;
pub mod hierarchy;
pub mod killed;
mod resident;
mod v1;
mod v2;
pub mod walk;

use std::collections::HashMap;
use std::path::PathBuf;

use super::Sampler;
use crate::record::{
    BootTime, CgroupId, CgroupSample, Event, Health, MemoryUse, Record, SourceName, Subject,
};
use directory::{Cgroup, Kept};
use files::Files;
pub use hierarchy::{Controller, Hierarchies, Mode};
use resident::Look;
pub use walk::{Found, Survey};

/// Cgroups near their limit whose processes one tick looks at; the fullest first.
const MOST_NEAR: usize = 16;

/// Reads the cgroups of the watched hierarchy.
#[derive(Debug)]
pub struct CgroupSampler {
    hierarchies: Hierarchies,
    proc_root: PathBuf,
    /// CPU usage (ns) at the previous tick, of the cgroups that were there.
    previous: HashMap<CgroupId, (BootTime, u64)>,
    kept: Kept,
    health: Health,
}

impl CgroupSampler {
    /// A sampler of these hierarchies, and of processes in the procfs mounted at `proc_root`. Reads nothing yet.
    #[must_use]
    pub fn new(hierarchies: Hierarchies, proc_root: PathBuf) -> Self {
        Self {
            hierarchies,
            proc_root,
            previous: HashMap::new(),
            kept: Kept::default(),
            health: Health::Ok,
        }
    }

    fn read_all(&mut self, survey: &Survey, files: &mut Files) -> Vec<(CgroupId, CgroupSample)> {
        let cgroups = survey.found.iter().filter(|found| found.path != "/");
        let samples = cgroups.filter_map(|found| Some((found.id, self.read(found, files)?)));
        let samples = samples.collect();
        self.kept.retain(survey.found.iter().map(|found| found.id));
        samples
    }

    /// `None`: nobody lives there, it is an inner one without a limit of its own, or it has been removed.
    fn read(&mut self, found: &Found, files: &mut Files) -> Option<CgroupSample> {
        let mut cgroup = self.kept.take(self.hierarchies.watched_root(), found)?;
        let sample = match found.leaf {
            true => self.leaf(&mut cgroup, files),
            false => self.inner(&cgroup, files),
        };
        self.kept.keep(found.id, cgroup);
        sample.filter(|sample| *sample != CgroupSample::default())
    }

    fn leaf(&self, cgroup: &mut Cgroup, files: &mut Files) -> Option<CgroupSample> {
        match self.hierarchies.mode() {
            Mode::Unified => {
                v2::is_populated(files, cgroup.watched()).then(|| v2::read(files, cgroup.watched()))
            }
            Mode::Memory => v1::read(files, &self.hierarchies, cgroup),
        }
    }

    /// The memory of a cgroup with children. `None`: it has no limit of its own, or nobody lives below.
    fn inner(&self, cgroup: &Cgroup, files: &mut Files) -> Option<CgroupSample> {
        let directory = cgroup.watched();
        let memory = match self.hierarchies.mode() {
            Mode::Unified => {
                files.number(directory, "memory.max")?;
                v2::is_populated(files, directory)
                    .then(|| v2::memory(files, directory))
                    .flatten()
            }
            Mode::Memory => {
                v1::limit(files, directory).and_then(|_| v1::memory_use(files, directory))
            }
        };
        memory.map(|memory| CgroupSample {
            memory: Some(memory),
            inner: true,
            ..CgroupSample::default()
        })
    }

    /// The processes in the cgroups that are near their limits.
    fn processes(
        &self,
        survey: &Survey,
        samples: &[(CgroupId, CgroupSample)],
        files: &mut Files,
    ) -> Vec<(CgroupId, Event)> {
        let near = samples.iter().filter_map(|(id, sample)| {
            let memory = sample.memory.filter(MemoryUse::is_near)?;
            let left = memory.max?.saturating_sub(memory.current);
            Some((left, *id))
        });
        let mut near: Vec<_> = near.collect();
        near.sort_unstable();
        near.truncate(MOST_NEAR);
        let mut look = Look::new(survey, self.hierarchies.watched_root(), &self.proc_root);
        let looks = near.into_iter().filter_map(|(_, id)| {
            let found = survey.found.iter().find(|found| found.id == id)?;
            let processes = look.within(found, files)?;
            Some((id, Event::ProcessMemory(Box::new(processes))))
        });
        looks.collect()
    }

    /// Fills the percentages in and remembers this tick instead of the previous one.
    fn compare(&mut self, at: BootTime, samples: &mut [(CgroupId, CgroupSample)]) {
        let mut current = HashMap::with_capacity(samples.len());
        for (id, sample) in samples {
            if let Some(cpu) = &mut sample.cpu {
                let now = (at, cpu.usage);
                cpu.percent = self
                    .previous
                    .get(id)
                    .and_then(|&before| percent(before, now));
                current.insert(*id, now);
            }
        }
        self.previous = current;
    }
}

/// Share of one processor, from two (instant, ns used so far). `None`: no time passed, or the usage went
/// backwards, as it does when an id is used again.
fn percent(before: (BootTime, u64), now: (BootTime, u64)) -> Option<f32> {
    let used = now.1.checked_sub(before.1)?;
    let passed = now.0.since(before.0).as_nanos();
    (passed > 0).then(|| (100.0 * used as f64 / passed as f64) as f32)
}

impl Sampler for CgroupSampler {
    const NAME: SourceName = SourceName::Cgroup;

    fn sample(&mut self, at: BootTime) -> Vec<Record> {
        let survey = match self.hierarchies.survey() {
            Ok(survey) => survey,
            Err(error) => {
                self.previous.clear();
                self.health = Health::Failed(error.to_string());
                return Vec::new();
            }
        };
        let mut files = Files::default();
        let mut samples = self.read_all(&survey, &mut files);
        self.compare(at, &mut samples);
        let processes = self.processes(&survey, &samples, &mut files);
        self.health = match files.take_failure() {
            Some(why) => Health::Degraded(why),
            None if survey.cut => Health::Degraded(format!(
                "{}: more than {} cgroups or {} levels, the rest is not sampled",
                self.hierarchies.watched_root().display(),
                walk::MAX_CGROUPS,
                walk::MAX_DEPTH
            )),
            None => Health::Ok,
        };
        let record = |(id, event)| Record {
            at,
            subject: Subject::Cgroup(id),
            event,
        };
        let samples = samples
            .into_iter()
            .map(|(id, sample)| (id, Event::Cgroup(Box::new(sample))));
        samples.chain(processes).map(record).collect()
    }

    fn health(&self) -> Health {
        self.health.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::hierarchy::tests::proc_with;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// A pure v2 host whose hierarchy is mounted at `root`.
    fn unified(root: &Path) -> CgroupSampler {
        let mounts = format!("25 23 0:23 / {} rw - cgroup2 cgroup2 rw\n", root.display());
        let proc = proc_with(&mounts, "0::/\n");
        let hierarchies = Hierarchies::discover(proc.path()).unwrap();
        CgroupSampler::new(hierarchies, root.join("proc"))
    }

    fn cgroup(root: &Path, path: &str, populated: u8, usage_usec: u64) {
        let directory = root.join(path);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(
            directory.join("cgroup.events"),
            format!("populated {populated}\n"),
        )
        .unwrap();
        std::fs::write(
            directory.join("cpu.stat"),
            format!("usage_usec {usage_usec}\n"),
        )
        .unwrap();
    }

    fn percents(records: &[Record]) -> Vec<Option<f32>> {
        let percent = |record: &Record| match &record.event {
            Event::Cgroup(sample) => sample.cpu.and_then(|cpu| cpu.percent),
            other => panic!("{other:?}"),
        };
        records.iter().map(percent).collect()
    }

    #[test]
    fn leaves_in_which_processes_live_are_sampled() {
        let root = tempfile::tempdir().unwrap();
        cgroup(root.path(), ".", 1, 9);
        cgroup(root.path(), "pod", 1, 9);
        cgroup(root.path(), "pod/busy", 1, 9);
        cgroup(root.path(), "pod/empty", 0, 9);
        let mut sampler = unified(root.path());
        let records = sampler.sample(BootTime(SECOND));
        let busy = sampler
            .hierarchies
            .walk()
            .into_iter()
            .find(|found| found.path == "/pod/busy");
        let subjects: Vec<_> = records
            .iter()
            .map(|record| record.subject.cgroup())
            .collect();
        assert_eq!(subjects, [busy.map(|found| found.id)]);
        assert_eq!(sampler.health(), Health::Ok);
    }

    fn memory(root: &Path, path: &str, current: u64, limit: &str) {
        let directory = root.join(path);
        let stat = "anon 5\ninactive_file 100\n".to_owned();
        for (name, text) in [
            ("memory.current", format!("{current}\n")),
            ("memory.max", format!("{limit}\n")),
            ("memory.stat", stat),
        ] {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }

    #[test]
    fn of_inner_cgroups_the_memory_of_those_with_a_limit() {
        let root = tempfile::tempdir().unwrap();
        cgroup(root.path(), "pod", 1, 9);
        cgroup(root.path(), "pod/c", 1, 9);
        cgroup(root.path(), "free/c", 1, 9);
        cgroup(root.path(), "free", 1, 9);
        memory(root.path(), "pod", 70, "1000");
        memory(root.path(), "free", 70, "max");
        let mut sampler = unified(root.path());
        let records = sampler.sample(BootTime(SECOND));
        let inner: Vec<_> = records
            .iter()
            .filter_map(|record| match &record.event {
                Event::Cgroup(sample) if sample.inner => Some((**sample).clone()),
                _ => None,
            })
            .collect();
        assert_eq!(records.len(), 3);
        assert_eq!(inner.len(), 1);
        let used = inner[0].memory.map(|memory| (memory.current, memory.anon));
        assert_eq!((used, inner[0].cpu), (Some((70, Some(5))), None));
    }

    #[test]
    fn processes_are_looked_at_only_near_the_limit() {
        let root = tempfile::tempdir().unwrap();
        cgroup(root.path(), "c", 1, 9);
        std::fs::write(root.path().join("c/cgroup.procs"), "7\n").unwrap();
        let stat = format!(
            "7 (a) S{} 1 0 250 0 3{}\n",
            " 0".repeat(16),
            " 0".repeat(28)
        );
        std::fs::create_dir_all(root.path().join("proc/7")).unwrap();
        std::fs::write(root.path().join("proc/7/stat"), stat).unwrap();
        let mut sampler = unified(root.path());
        let mut looks = |current: u64, limit: &str| {
            memory(root.path(), "c", current, limit);
            let records = sampler.sample(BootTime(SECOND));
            let looked = |record: &&Record| matches!(record.event, Event::ProcessMemory(_));
            records.iter().filter(looked).count()
        };
        // 100 are files that can be dropped.
        assert_eq!(looks(899, "1000"), 0);
        assert_eq!(looks(900, "1000"), 1);
        assert_eq!(looks(900, "max"), 0);
    }

    #[test]
    fn cpu_is_a_difference_and_the_gone_are_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let mut sampler = unified(root.path());
        cgroup(root.path(), "a", 1, 1_000_000);
        assert_eq!(percents(&sampler.sample(BootTime(SECOND))), [None]);
        cgroup(root.path(), "a", 1, 6_000_000);
        // Five seconds of processor in two seconds.
        assert_eq!(
            percents(&sampler.sample(BootTime(3 * SECOND))),
            [Some(250.0)]
        );
        cgroup(root.path(), "a", 1, 5_000_000);
        assert_eq!(percents(&sampler.sample(BootTime(4 * SECOND))), [None]);
        std::fs::remove_dir_all(root.path().join("a")).unwrap();
        assert_eq!(sampler.sample(BootTime(5 * SECOND)), []);
        assert!(sampler.previous.is_empty());
        assert_eq!(sampler.health(), Health::Ok);
    }

    #[test]
    fn an_unreadable_root_fails_the_source_and_it_recovers() {
        let root = tempfile::tempdir().unwrap();
        let mount = root.path().join("mount");
        let mut sampler = unified(&mount);
        assert_eq!(sampler.sample(BootTime(SECOND)), []);
        let Health::Failed(why) = sampler.health() else {
            panic!("{:?}", sampler.health());
        };
        assert!(why.contains(mount.to_str().unwrap()), "{why}");
        cgroup(&mount, "a", 1, 1);
        assert_eq!(sampler.sample(BootTime(2 * SECOND)).len(), 1);
        assert_eq!(sampler.health(), Health::Ok);
    }

    #[test]
    fn an_unreadable_file_degrades_the_source_by_name() {
        let root = tempfile::tempdir().unwrap();
        cgroup(root.path(), "c", 1, 1);
        // A link to itself: cannot be opened, not even by root.
        std::os::unix::fs::symlink("memory.current", root.path().join("c/memory.current")).unwrap();
        let mut sampler = unified(root.path());
        assert_eq!(sampler.sample(BootTime(1)).len(), 1);
        let Health::Degraded(why) = sampler.health() else {
            panic!("{:?}", sampler.health());
        };
        assert!(why.contains("c/memory.current: "), "{why}");
    }
}
