//! The journal on a disk that fails: whatever is lost, torn or refused, every block that was synced comes back, and none that
//! was not written as it is.
//!
//! 20,000 seeds; `--include-ignored` plays 5 million. `BLACKBOX_SEED=n` plays one again.
#![expect(clippy::print_stdout, reason = "prints what was met")]

mod dice;
mod disk;
mod lives;

use std::env;

use lives::{Played, play};

/// What all seeds together must have met, or the test proves less than it says.
fn check(played: &Played, seeds: u64) {
    assert!(played.found > seeds, "blocks found: {played:?}");
    assert!(played.synced > seeds, "synced blocks demanded: {played:?}");
    assert!(
        played.unsynced > seeds / 10,
        "unsynced blocks found: {played:?}"
    );
    assert!(played.lost > seeds / 10, "unsynced blocks lost: {played:?}");
    assert!(played.wrapped > seeds / 10, "rings gone round: {played:?}");
    assert!(
        played.failed > seeds / 10,
        "writes and syncs refused: {played:?}"
    );
}

fn play_all(seeds: std::ops::Range<u64>) {
    if let Ok(seed) = env::var("BLACKBOX_SEED") {
        let seed = seed.parse().expect("BLACKBOX_SEED is a number");
        println!("{:?}", play(seed));
        return;
    }
    let count = seeds.end - seeds.start;
    let threads = 2;
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            let seeds = seeds.clone();
            std::thread::spawn(move || {
                let mut sum = Played::default();
                seeds
                    .filter(|seed| seed % threads == part)
                    .for_each(|seed| sum.add(&play(seed)));
                sum
            })
        })
        .collect();
    let mut sum = Played::default();
    for part in parts {
        sum.add(&part.join().expect("a seed failed: its number is above"));
    }
    println!("{count} seeds: {sum:?}");
    check(&sum, count);
}

#[test]
fn synced_blocks_come_back_from_20_000_crashes() {
    play_all(0..20_000);
}

#[test]
#[ignore = "long: 5 million seeds"]
fn synced_blocks_come_back_from_5_million_crashes() {
    play_all(20_000..5_020_000);
}
