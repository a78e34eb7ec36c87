//! The recorder's former life: opens the journal, and says how that life ended.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::clock::{self, WallOffset};
use crate::config::Config;
use crate::durability::Durability;
use crate::journal::{self, Journal, Life, Recovered, pstore};
use crate::record::{BootTime, LifeEnd, ProcessKey};
use crate::recorder::{Former, Keeper};

/// What the journal is to this life.
pub(super) struct Kept {
    pub(super) journal: Option<Journal>,
    pub(super) former: Option<Former>,
    /// The former life was in this boot.
    pub(super) same_boot: bool,
    /// The kernel programs are those of a former daemon.
    pub(super) kernel_kept: bool,
}

impl Kept {
    fn without(kernel_kept: bool) -> Self {
        Self {
            journal: None,
            former: None,
            same_boot: false,
            kernel_kept,
        }
    }
}

/// Opens the journal, or says why there is none.
pub(super) fn open(
    config: &Config,
    boot_id: Option<&str>,
    kernel_kept: bool,
    durability: &Durability,
) -> Kept {
    let settings = match &config.journal {
        Ok(settings) => settings,
        Err(why) => {
            tracing::info!(why, "the window is not kept on disk");
            return Kept::without(kernel_kept);
        }
    };
    let Some(boot) = boot_id.and_then(boot_bytes) else {
        let why = "the kernel's boot id cannot be read: after a restart nobody could tell one boot from another";
        tracing::warn!(why, "the window is not kept on disk");
        return Kept::without(kernel_kept);
    };
    let life = Life {
        boot,
        number: wall_now().cast_unsigned(),
        reach: config.storage.retention,
    };
    match journal::start(settings.clone(), life, durability.part("window")) {
        Ok((journal, recovered)) => Kept {
            same_boot: recovered.as_ref().is_some_and(|found| found.boot == boot),
            former: recovered.map(|recovered| former(recovered, boot, kernel_kept)),
            journal: Some(journal),
            kernel_kept,
        },
        Err(error) => {
            tracing::warn!(%error, "no thread for the journal: the window is not kept on disk");
            Kept::without(kernel_kept)
        }
    }
}

fn former(recovered: Recovered, boot: [u8; 16], kernel_kept: bool) -> Former {
    let end = match (recovered.ended, recovered.boot == boot) {
        (true, _) => LifeEnd::Stopped,
        (false, true) => LifeEnd::Died,
        (false, false) => LifeEnd::NodeDown,
    };
    let panic = (end == LifeEnd::NodeDown)
        .then(|| pstore::panic(&pstore::PLACES, wall_time(&recovered)))
        .flatten();
    tracing::info!(
        ?end,
        records = recovered.records(),
        skipped = recovered.skipped,
        holes = recovered.holes,
        broken = recovered.broken,
        "the window of a former life was read"
    );
    Former {
        recovered,
        kernel_kept: kernel_kept && end != LifeEnd::NodeDown,
        end,
        panic,
    }
}

/// When the former life wrote last, by the wall clock it had.
fn wall_time(recovered: &Recovered) -> SystemTime {
    let nanos = recovered.wall.wall(recovered.at).as_nanosecond();
    let nanos = u64::try_from(nanos).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// Now, by the wall clock, ns after 1970.
pub(super) fn wall_now() -> i64 {
    let now = WallOffset::now().wall(clock::boot_now()).as_nanosecond();
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// `8f1c…-…` as bytes.
fn boot_bytes(id: &str) -> Option<[u8; 16]> {
    let digits: String = id.trim().chars().filter(|c| *c != '-').collect();
    let id = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32).then(|| id.to_be_bytes())
}

/// A boot id as the kernel writes it.
pub(super) fn boot_text(boot: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(boot));
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// This process, as the kernel tells of processes; its start to the 10 ms that `/proc` has.
fn daemon(proc_root: &Path) -> Option<ProcessKey> {
    let stat = std::fs::read_to_string(proc_root.join("self/stat")).ok()?;
    // The name may hold spaces; what follows its last parenthesis does not. Field 22 is the start, in ticks.
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks: u64 = fields.split(' ').nth(19)?.parse().ok()?;
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    Some(ProcessKey {
        tgid: stat.split(' ').next()?.parse().ok()?,
        start: BootTime(ticks * tick),
    })
}

/// Who keeps the window in the journal.
pub(super) fn keeper(config: &Config, journal: &Journal) -> Option<Keeper> {
    let settings = config.journal.as_ref().ok()?;
    let daemon = daemon(&config.proc_root);
    let reach = config.storage.retention;
    Some(Keeper::new(journal.clone(), settings, reach, daemon))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_comes_back_as_the_kernel_writes_it() {
        let id = "0f1c2d3e-4a5b-6c7d-8e9f-a0b1c2d3e4f5";
        assert_eq!(boot_text(boot_bytes(id).unwrap()), id);
        assert_eq!(boot_bytes("0f1c"), None);
    }

    #[test]
    fn this_process_is_found_with_its_start() {
        let found = daemon(Path::new("/proc")).unwrap();
        assert_eq!(found.tgid, std::process::id());
        let age = clock::boot_now().since(found.start);
        assert!(age < Duration::from_secs(3600), "{age:?}");
    }
}
