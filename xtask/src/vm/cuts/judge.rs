//! Compares what a machine had said before its power was cut with what was there afterwards. Pure, but for the table.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::load;
use super::super::protocol::{News, Seen};
use super::REBOOT;
use super::life::{Life, MAY_LOSE};
use super::ring::Ring;

/// What was found of one cut.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Row {
    number: usize,
    kernel: String,
    /// Under load, s.
    seconds: f32,
    /// Objects that the daemon had taken.
    accepted: usize,
    /// Of these, what the disk does not have.
    lost: usize,
    /// From the first of those to the cut.
    lost_ms: u64,
    /// Blocks on the disk, and those that were synced for certain.
    blocks: u64,
    synced: u64,
    /// Blocks missing among the synced ones.
    holes: u64,
    /// Records that do not decode, and objects that are not what was submitted.
    corrupt: u64,
    /// Report files and bundles that are whole, and the incidents they tell of: one whose telling was cut short is told again.
    reports: usize,
    bundles: usize,
    incidents: usize,
    /// Deaths that happened, and those with a report.
    deaths: usize,
    told: usize,
    /// Of these, told after the boot: at the cut they were open.
    in_flight: usize,
    /// What is not as it should be.
    complaints: Vec<String>,
}

impl Row {
    pub(super) fn holds(&self) -> bool {
        self.complaints.is_empty()
    }
}

/// What the machine saw after the next boot.
pub(super) struct Sight {
    reports: Vec<Seen>,
    bundles: usize,
    broken: Vec<String>,
}

/// The news that it is in.
pub(super) fn seen(news: News) -> Option<Sight> {
    match news {
        News::Seen {
            reports,
            bundles,
            broken,
        } => Some(Sight {
            reports,
            bundles,
            broken,
        }),
        _ => None,
    }
}

/// Compares.
pub(super) fn judge(number: usize, life: &Life, ring: &Ring, sight: &Sight) -> Row {
    let kept: Vec<Option<u64>> = ring.telemetry.iter().map(load::number).collect();
    let changed = kept.iter().filter(|number| number.is_none()).count() as u64;
    let kept: BTreeSet<u64> = kept.into_iter().flatten().collect();
    let lost: Vec<&(u64, u64)> = life
        .accepted
        .iter()
        .filter(|(counter, _)| !kept.contains(counter))
        .collect();
    let first_lost = lost.iter().map(|(_, at)| *at).min();
    let of_boot: Vec<&Seen> = sight
        .reports
        .iter()
        .filter(|it| it.boot == life.boot)
        .collect();
    let of = |pid: u32| of_boot.iter().find(|it| it.pid == Some(pid));
    let told: Vec<&&Seen> = life
        .staged
        .iter()
        .filter_map(|(truth, _)| of(truth.pid))
        .collect();
    let incidents: BTreeSet<_> = sight
        .reports
        .iter()
        .map(|it| (&it.boot, &it.kind, it.pid))
        .collect();
    let mut row = Row {
        number,
        kernel: life.kernel.clone(),
        seconds: life.seconds,
        accepted: life.accepted.len(),
        lost: lost.len(),
        lost_ms: first_lost.map_or(0, |at| life.cut.saturating_sub(at) / 1_000_000),
        blocks: ring.blocks,
        synced: ring.synced,
        holes: ring.synced_holes,
        corrupt: ring.broken + changed,
        reports: sight.reports.len(),
        bundles: sight.bundles,
        incidents: incidents.len(),
        deaths: life.staged.len(),
        told: told.len(),
        in_flight: told.iter().filter(|it| it.fresh).count(),
        complaints: sight.broken.clone(),
    };
    row.complaints.extend(complaints(&row, life, ring));
    for pid in life.told_for_sure() {
        if of(pid).is_none() {
            row.complaints
                .push(format!("the death of {pid} is not told"));
        }
    }
    let reboots = of_boot
        .iter()
        .filter(|it| it.kind == REBOOT && it.fresh)
        .count();
    if reboots != 1 {
        row.complaints
            .push(format!("{reboots} reports of the reboot"));
    }
    row
}

fn complaints(row: &Row, life: &Life, ring: &Ring) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut unless = |holds: bool, complaint: String| {
        if !holds {
            complaints.push(complaint);
        }
    };
    let limit = MAY_LOSE.as_millis() as u64;
    unless(
        row.lost_ms <= limit,
        format!(
            "{} ms were lost, and no more than {limit} may be",
            row.lost_ms
        ),
    );
    unless(
        row.holes == 0,
        format!("{} synced blocks are missing", row.holes),
    );
    unless(
        row.corrupt == 0,
        format!("{} corrupt records were accepted", row.corrupt),
    );
    unless(
        ring.boot == life.boot.replace('-', ""),
        format!("the file is of boot {}, not {}", ring.boot, life.boot),
    );
    unless(ring.synced > 0, "nothing was synced".to_owned());
    unless(
        row.bundles >= row.incidents,
        format!("{} incidents have {} bundles", row.incidents, row.bundles),
    );
    complaints
}

/// The table's head.
pub(super) fn print_head() {
    println!(
        "\n{:>3} {:<26} {:>5} {:>8} {:>5} {:>7} {:>13} {:>5} {:>7} {:>13} {:>12} {:>9}",
        "cut",
        "kernel",
        "s",
        "accepted",
        "lost",
        "lost ms",
        "blocks/synced",
        "holes",
        "corrupt",
        "files/bundles",
        "deaths/told",
        "in flight"
    );
}

/// A line of it.
pub(super) fn print(row: &Row) {
    println!(
        "{:>3} {:<26} {:>5.1} {:>8} {:>5} {:>7} {:>13} {:>5} {:>7} {:>13} {:>12} {:>9}",
        row.number,
        row.kernel,
        row.seconds,
        row.accepted,
        row.lost,
        row.lost_ms,
        format!("{}/{}", row.blocks, row.synced),
        row.holes,
        row.corrupt,
        format!("{}/{}", row.reports, row.bundles),
        format!("{}/{}", row.deaths, row.told),
        row.in_flight
    );
    for complaint in &row.complaints {
        println!("    NOT OK: {complaint}");
    }
}

/// What all cuts came to.
pub(super) fn print_sum(rows: &[Row]) {
    let holding = rows.iter().filter(|row| row.holds()).count();
    let mut lost: Vec<u64> = rows.iter().map(|row| row.lost_ms).collect();
    lost.sort_unstable();
    println!(
        "\n{}: {holding} of {} cuts hold; lost: median {} ms, at most {} ms; of {} deaths {} are told, {} of them after the boot",
        if holding == rows.len() {
            "ok"
        } else {
            "NOT OK"
        },
        rows.len(),
        lost.get(lost.len() / 2).copied().unwrap_or_default(),
        lost.last().copied().unwrap_or_default(),
        rows.iter().map(|row| row.deaths).sum::<usize>(),
        rows.iter().map(|row| row.told).sum::<usize>(),
        rows.iter().map(|row| row.in_flight).sum::<usize>(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deaths::{Death, Truth};

    const BOOT: &str = "0f1c2d3e-4a5b-6c7d-8e9f-a0b1c2d3e4f5";
    const CUT: u64 = 60_000_000_000;

    /// Ten objects, the last one 100 ms before the cut, and a death 2 s before it.
    fn life() -> Life {
        let truth = Truth {
            death: Death::Exit,
            pid: 17,
            parent_pid: None,
            sender: None,
            cgroup: "/blackbox-demo-1/exit".to_owned(),
            limit_bytes: 64 << 20,
        };
        Life {
            boot: BOOT.to_owned(),
            accepted: (1..=10)
                .map(|counter| (counter, CUT - (11 - counter) * 100_000_000))
                .collect(),
            staged: vec![(truth, CUT - 2_000_000_000)],
            cut: CUT,
            ..Life::default()
        }
    }

    fn ring(kept: u64) -> Ring {
        Ring {
            boot: BOOT.replace('-', ""),
            blocks: 9,
            synced: 8,
            telemetry: (1..=kept)
                .map(|counter| load::body(counter)["data"].take())
                .collect(),
            ..Ring::default()
        }
    }

    fn sight() -> Sight {
        let seen = |kind: &str, pid| Seen {
            file: String::new(),
            kind: kind.to_owned(),
            boot: BOOT.to_owned(),
            pid,
            fresh: true,
        };
        Sight {
            reports: vec![seen("crash", Some(17)), seen(REBOOT, None)],
            bundles: 2,
            broken: Vec::new(),
        }
    }

    #[test]
    fn the_last_second_may_be_lost() {
        let row = judge(1, &life(), &ring(8), &sight());
        assert_eq!(row.complaints, Vec::<String>::new());
        assert_eq!((row.lost, row.lost_ms), (2, 200));
        assert_eq!((row.deaths, row.told, row.in_flight), (1, 1, 1));
        let row = judge(1, &life(), &ring(10), &sight());
        assert_eq!((row.lost, row.lost_ms), (0, 0));
    }

    #[test]
    fn more_than_that_is_told() {
        let mut life = life();
        life.accepted[0].1 = CUT - 1_600_000_000;
        let row = judge(1, &life, &ring(0), &sight());
        assert_eq!(
            row.complaints,
            ["1600 ms were lost, and no more than 1500 may be"]
        );
    }

    #[test]
    fn what_is_missing_or_broken_on_the_disk_is_told() {
        let mut ring = ring(10);
        (ring.synced_holes, ring.broken, ring.synced) = (1, 1, 0);
        ring.telemetry[3]["check"] = 1.into();
        let row = judge(1, &life(), &ring, &sight());
        let told = [
            "1 synced blocks are missing",
            "2 corrupt records were accepted",
            "nothing was synced",
        ];
        assert_eq!(row.complaints, told);
        assert_eq!((row.lost, row.lost_ms), (1, 700));
    }

    #[test]
    fn a_death_and_the_reboot_must_be_told() {
        let mut sight = sight();
        sight.reports[1].boot.clear();
        sight.reports[0].pid = Some(18);
        sight.broken.push("half.json: EOF".to_owned());
        let row = judge(1, &life(), &ring(10), &sight);
        let told = [
            "half.json: EOF",
            "the death of 17 is not told",
            "0 reports of the reboot",
        ];
        assert_eq!(row.complaints, told);
    }

    #[test]
    fn a_death_right_before_the_cut_may_be_lost() {
        let mut life = life();
        life.staged[0].1 = CUT - 100_000_000;
        let mut sight = sight();
        sight.reports.remove(0);
        sight.bundles = 1;
        let row = judge(1, &life, &ring(10), &sight);
        assert_eq!((row.complaints, row.told), (Vec::new(), 0));
    }
}
