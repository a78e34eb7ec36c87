//! Which lines of `/proc/diskstats` are whole disks, and what they have read and written.
//!
//! Told by name, as the kernel names them: nothing but the file itself is needed. A device is counted once:
//! its partitions are left out, and so is what lies in memory or on another file.

use ::procfs::{DiskStat, DiskStats};

use crate::record::{DiskCounters, NodeDisks};

/// Bytes of a sector in this file, whatever the device's own (Documentation/admin-guide/iostats.rst).
const SECTOR: u64 = 512;

/// Devices that are no disk of the node: memory, files, optical and floppy drives.
const NO_DISKS: [&str; 5] = ["loop", "ram", "zram", "sr", "fd"];

/// Disks that are told apart by letters, so that their partitions just add a number: `sda`, `sda1`.
const LETTERED: [&str; 6] = ["sd", "vd", "xvd", "hd", "dasd", "ubd"];

/// The whole disks, in the order of the file.
pub(super) fn whole_disks(stats: DiskStats) -> NodeDisks {
    let disks = stats
        .0
        .into_iter()
        .filter(|disk| is_whole_disk(&disk.name))
        .map(counters)
        .collect();
    NodeDisks { disks }
}

fn counters(disk: DiskStat) -> DiskCounters {
    DiskCounters {
        name: disk.name,
        read_ios: disk.reads,
        read_bytes: disk.sectors_read.saturating_mul(SECTOR),
        write_ios: disk.writes,
        write_bytes: disk.sectors_written.saturating_mul(SECTOR),
    }
}

fn is_whole_disk(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    !NO_DISKS.contains(&stem)
        && !is_partition(stem, name)
        && !is_nvme_path(name)
        && !is_mmc_area(name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The kernel adds `p` and a number to a disk whose name ends in a digit, else just the number
/// (block/partitions/core.c, `add_partition`). `stem` is `name` without the digits at its end.
fn is_partition(stem: &str, name: &str) -> bool {
    if stem.len() == name.len() {
        return false;
    }
    let after_number = stem
        .strip_suffix('p')
        .is_some_and(|disk| disk.ends_with(|c: char| c.is_ascii_digit()));
    let after_letters = LETTERED.iter().any(|family| {
        stem.strip_prefix(family).is_some_and(|letters| {
            !letters.is_empty() && letters.bytes().all(|byte| byte.is_ascii_lowercase())
        })
    });
    after_number || after_letters
}

/// `nvme0c1n1` is one path to `nvme0n1`, which counts its IO already (drivers/nvme/host/multipath.c).
fn is_nvme_path(name: &str) -> bool {
    name.strip_prefix("nvme")
        .and_then(|rest| rest.split_once('c'))
        .is_some_and(|(subsystem, _)| is_number(subsystem))
}

/// `mmcblk0boot0`, `mmcblk0rpmb`: small areas of the card beside its user data (drivers/mmc/core/block.c).
fn is_mmc_area(name: &str) -> bool {
    name.strip_prefix("mmcblk")
        .is_some_and(|number| !is_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::procfs::FromRead;

    #[test]
    fn names_of_whole_disks() {
        for name in [
            "sda", "sdaa", "vda", "vdz", "xvda", "hda", "dasda", "nvme0n1", "nvme10n2", "mmcblk0",
            "mmcblk12", "dm-0", "dm-17", "md0", "md127", "nbd0", "rbd1", "bcache0", "zd16",
            "pmem0",
        ] {
            assert!(is_whole_disk(name), "{name} is a whole disk");
        }
    }

    #[test]
    fn names_of_anything_else() {
        for name in [
            "sda1",
            "sdaa15",
            "vda1",
            "xvda2",
            "hda3",
            "dasda1",
            "nvme0n1p1",
            "nvme10n2p12",
            "mmcblk0p1",
            "mmcblk0boot0",
            "mmcblk0rpmb",
            "md0p1",
            "md127p3",
            "nbd0p1",
            "rbd1p2",
            "loop0",
            "loop0p1",
            "ram15",
            "zram0",
            "sr0",
            "fd0",
            "nvme0c1n1",
            "nvme0c1n1p1",
        ] {
            assert!(!is_whole_disk(name), "{name} is no whole disk");
        }
    }

    #[test]
    fn bytes_are_sectors_of_512() {
        let text = "   7  0 loop0 1 1 1 1 1 1 1 1 0 1 1\n \
                    254  0 vda 36708 7654 6730226 20994 43467 36180 4983888 12205 0 8644 33643\n \
                    254  1 vda1 1 1 1 1 1 1 1 1 0 1 1\n";
        let disks = whole_disks(DiskStats::from_read(text.as_bytes()).unwrap()).disks;
        let vda = DiskCounters {
            name: "vda".to_owned(),
            read_ios: 36708,
            read_bytes: 6_730_226 * 512,
            write_ios: 43467,
            write_bytes: 4_983_888 * 512,
        };
        assert_eq!(disks, [vda]);
    }
}
