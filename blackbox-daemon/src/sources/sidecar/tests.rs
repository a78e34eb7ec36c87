//! Claims in time, numbers, budgets and a full queue.

use super::*;
use crate::record::{PodName, Submission};
use crate::sources::feed::BULK_BATCHES;
use crate::sources::{Intake, feed};

const NOW: BootTime = BootTime(1_000_000_000_000);
const SECOND: u64 = 1_000_000_000;

fn sidecars(total_bytes: u64, pod_bytes: u64) -> (Sidecars, Intake) {
    let (feed, intake) = feed::feed();
    let window = Duration::from_secs(60);
    let budget = budget::Config {
        window,
        total_bytes,
        pod_bytes,
    };
    let config = Config {
        window,
        telemetry: budget,
        reports: budget,
    };
    (Sidecars::new(config, feed), intake)
}

/// Submits now or never.
fn submit(
    sidecars: &Sidecars,
    telemetry: Vec<Telemetry>,
    now: BootTime,
) -> Result<Vec<u64>, Refused> {
    let place = sidecars.feed.place(LaneName::Bulk).ok_or(Refused::Busy)?;
    sidecars.submit(place, telemetry, now, WallOffset::from_nanos(0))
}

fn telemetry(pod: &str, data: usize, claimed: Option<i64>) -> Telemetry {
    Telemetry {
        entry: 0,
        pod: PodName {
            namespace: "prod".to_owned(),
            name: pod.to_owned(),
        },
        container_id: None,
        runtime: String::new(),
        submission: Submission {
            by: "default".to_owned(),
            proven_uid: None,
            received: BootTime(0),
            claimed,
        },
        tags: Vec::new(),
        data: " ".repeat(data),
    }
}

#[test]
fn only_a_plausible_claim_decides_the_place() {
    let (sidecars, mut intake) = sidecars(1 << 20, 1 << 20);
    let now = NOW.0.cast_signed();
    let second = SECOND.cast_signed();
    for (claimed, expected) in [
        (None, NOW.0),
        (Some(now - second), NOW.0 - SECOND),
        (Some(now - 60 * second), NOW.0 - 60 * SECOND),
        (Some(now - 61 * second), NOW.0),
        (Some(now + 1), NOW.0),
        (Some(i64::MIN), NOW.0),
        (Some(i64::MAX), NOW.0),
    ] {
        let sent = submit(&sidecars, vec![telemetry("a", 1, claimed)], NOW);
        assert!(sent.is_ok());
        let batch = intake.bulk.try_recv().unwrap();
        assert_eq!(batch[0].at, BootTime(expected), "{claimed:?}");
        let Event::Telemetry(kept) = &batch[0].event else {
            panic!("not telemetry")
        };
        assert_eq!(
            (kept.submission.claimed, kept.submission.received),
            (claimed, NOW)
        );
    }
}

#[test]
fn entries_are_numbered_once_even_in_one_instant() {
    let (sidecars, _intake) = sidecars(1 << 20, 1 << 20);
    let three = || vec![telemetry("a", 1, None); 3];
    let mut numbers = submit(&sidecars, three(), NOW).unwrap();
    numbers.extend(submit(&sidecars, three(), NOW).unwrap());
    let sorted = numbers.clone();
    numbers.dedup();
    assert_eq!(numbers, sorted);
    assert_eq!(numbers.len(), 6);
}

#[test]
fn a_noisy_pod_is_refused_and_others_are_not() {
    let (sidecars, mut intake) = sidecars(10_000, 2_500);
    let send = |pod: &str, at| submit(&sidecars, vec![telemetry(pod, 900, None)], at);
    assert!(send("noisy", NOW).is_ok());
    assert!(send("noisy", NOW).is_ok());
    let Err(Refused::PodShare { retry_after, .. }) = send("noisy", NOW) else {
        panic!("accepted");
    };
    assert!(send("quiet", NOW).is_ok());
    assert!(send("noisy", NOW.plus(retry_after + Duration::from_secs(1))).is_ok());
    let refused = (0..20).find_map(|pod| send(&format!("other{pod}"), NOW).err());
    assert!(matches!(refused, Some(Refused::TotalShare { .. })));
    let mut bytes = 0;
    while let Ok(batch) = intake.bulk.try_recv() {
        bytes += batch
            .iter()
            .map(|record| match &record.event {
                Event::Telemetry(telemetry) => size(telemetry),
                _ => 0,
            })
            .sum::<u64>();
    }
    // What drained while the noisy one waited may be used again.
    assert!((9_000..14_000).contains(&bytes), "{bytes}");
}

#[tokio::test]
async fn a_full_queue_is_waited_for_and_refuses_at_no_cost() {
    let (sidecars, mut intake) = sidecars(1 << 20, 1 << 20);
    let one = || vec![telemetry("a", 1, None)];
    for _ in 0..BULK_BATCHES {
        let place = sidecars.place(LaneName::Bulk).await.unwrap();
        let sent = sidecars.submit(place, one(), NOW, WallOffset::from_nanos(0));
        assert!(sent.is_ok());
    }
    let (place, taken) = tokio::join!(sidecars.place(LaneName::Bulk), intake.bulk.recv());
    assert!(taken.is_some());
    let sent = sidecars.submit(place.unwrap(), one(), NOW, WallOffset::from_nanos(0));
    assert!(sent.is_ok());
    let refused = sidecars.place(LaneName::Bulk).await;
    assert_eq!(refused.map(drop), Err(Refused::Busy));
    assert!(intake.lost.take().is_empty());
}
