//! The soak: one daemon lives through a fault after the other, tells each death that follows, and does not grow.
//!
//! Each fault once in a good minute; `--include-ignored` plays two hours with one each minute. Memory is looked
//! at right before each fault, when the last one is over. `TESTED_DAEMON=target/release/blackbox-daemon` tests that build instead.
#![expect(clippy::print_stdout, reason = "figures are half of the result")]

mod faults;
mod ground;
#[path = "../kernel/lab.rs"]
#[expect(dead_code, reason = "the other root tests need more of it")]
mod lab;
mod trend;

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use xtask::timing::Stopwatch;

use crate::faults::FAULTS;
use crate::ground::Ground;
use crate::trend::{Look, Trend};

/// Of resident memory once it has settled, bytes in an hour. The promise.
const SLOPE: f64 = 1_048_576.0;
/// What is at rest before it counts: a quarter.
const SETTLING: u32 = 4;

/// Plays faults for `whole`, one each `every`.
fn soak(whole: Duration, every: Duration) -> Result<Trend> {
    let mut ground = Ground::start()?;
    let watch = Stopwatch::start();
    let mut trend = Trend::default();
    for (number, fault) in FAULTS.iter().cycle().enumerate() {
        let turn = u32::try_from(number)?;
        thread::sleep((every * turn).saturating_sub(watch.elapsed()));
        let at = watch.elapsed();
        if at >= whole {
            break;
        }
        let look = Look::at(at, ground.pid())?;
        println!("{:>6.0} s  {look}  {}", at.as_secs_f64(), fault.name);
        trend.looks.push(look);
        (fault.play)(&mut ground).with_context(|| format!("fault {number}: {}", fault.name))?;
        ground
            .death()
            .with_context(|| format!("after fault {number}: {}", fault.name))?;
    }
    trend.looks.push(Look::at(watch.elapsed(), ground.pid())?);
    let faults = trend.looks.len() - 1;
    println!(
        "{faults} faults; {} reports and bundles read and whole",
        ground.verified
    );
    // Of each death both.
    ensure!(ground.verified >= 2 * faults, "a death without a bundle");
    ground.end()?;
    Ok(trend)
}

#[test]
fn faults_one_after_the_other_leave_nothing_behind() -> Result<()> {
    let trend = soak(Duration::from_secs(72), Duration::from_secs(6))?;
    trend.assert_flat();
    Ok(())
}

#[test]
#[ignore = "long: two hours"]
fn two_hours_of_faults_leave_nothing_behind() -> Result<()> {
    let whole = Duration::from_secs(2 * 3600);
    let trend = soak(whole, Duration::from_secs(60))?;
    trend.assert_flat();
    let slope = trend.slope(whole / SETTLING);
    println!("resident: {:+.2} MiB an hour", slope / 1_048_576.0);
    assert!(slope <= SLOPE, "it grows by {slope:.0} bytes an hour");
    Ok(())
}
