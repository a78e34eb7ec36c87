//! Who makes room for whom, at which age.

use super::*;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

fn door(connections: usize, per_peer: usize) -> Arc<Door> {
    let limits = Limits {
        connections,
        per_peer,
        ..Limits::default()
    };
    Door::new(limits, Arc::default())
}

fn at(millis: u64) -> BootTime {
    BootTime(0).plus(Duration::from_millis(millis))
}

#[test]
fn laggards_make_room_oldest_first() {
    let door = door(10, 2);
    let first = door.admit(HERE, at(0)).unwrap();
    let second = door.admit(HERE, at(1)).unwrap();
    let third = door.admit(HERE, at(1_000)).unwrap();
    assert_eq!(first.slot.phase(), Phase::Evicted);
    assert_eq!(second.slot.phase(), Phase::Head);
    assert!(!first.slot.begin(false), "the evicted serve nothing");
    assert!(third.slot.begin(false));
    assert_eq!(door.counts.refused_total(Refusal::MadeRoom), 1);
    assert_eq!(door.counts.open(), 3, "until the evicted one is dropped");
    drop((first, second, third));
    assert_eq!(door.counts.open(), 0);
    assert!(door.lock().peers.is_empty());
    assert_eq!(door.lock().total, 0);
}

#[test]
fn the_young_stay_on_credit_within_the_total() {
    let door = door(4, 2);
    let seats: Vec<_> = (0..4).map(|n| door.admit(HERE, at(n)).unwrap()).collect();
    assert_eq!(door.lock().total, 4);
    let other = door.admit(THERE, at(5)).unwrap();
    assert_eq!(door.lock().total, 4);
    assert_eq!(seats[0].slot.phase(), Phase::Evicted);
    assert_eq!(other.slot.phase(), Phase::Head);
    // Once they are old, the surplus goes at once.
    let _late = door.admit(HERE, at(1_500)).unwrap();
    assert_eq!(door.lock().count(HERE), 2);
}

#[test]
fn work_is_never_cut_for_a_newcomer() {
    let door = door(3, 2);
    let (one, two) = (
        door.admit(HERE, at(0)).unwrap(),
        door.admit(HERE, at(0)).unwrap(),
    );
    assert!(one.slot.begin(false) && two.slot.begin(true));
    two.slot.body_over(true);
    assert_eq!(door.admit(HERE, at(1_900)).unwrap_err(), Refusal::Peer);
    let there = door.admit(THERE, at(1_900)).unwrap();
    assert!(there.slot.begin(false));
    assert_eq!(door.admit(THERE, at(1_901)).unwrap_err(), Refusal::Total);
    two.slot.answered();
    let _three = door.admit(HERE, at(1_902)).unwrap();
    assert_eq!(two.slot.phase(), Phase::Evicted);
    assert_eq!(one.slot.phase(), Phase::Busy);
}

#[test]
fn bodies_on_the_way_make_room_last() {
    let door = door(9, 2);
    let (body, idle) = (
        door.admit(HERE, at(0)).unwrap(),
        door.admit(HERE, at(0)).unwrap(),
    );
    assert!(body.slot.begin(true) && idle.slot.begin(false));
    idle.slot.answered();
    let next = door.admit(HERE, at(1_300)).unwrap();
    assert_eq!(idle.slot.phase(), Phase::Evicted);
    assert!(next.slot.begin(false));
    let _last = door.admit(HERE, at(1_300)).unwrap();
    assert_eq!(body.slot.phase(), Phase::Evicted);
}

#[test]
fn an_idle_crowd_does_not_displace_those_who_just_came() {
    let door = door(8, 2);
    let crowd: Vec<_> = (0..7).map(|_| door.admit(HERE, at(0)).unwrap()).collect();
    for seat in &crowd {
        assert!(seat.slot.begin(false));
        seat.slot.answered();
    }
    // They all came on credit; the next to come makes them keep to the bound.
    let first = door.admit(HERE, at(10)).unwrap();
    assert_eq!(door.lock().total, 2);
    let second = door.admit(HERE, at(11)).unwrap();
    assert_eq!(first.slot.phase(), Phase::Head);
    assert_eq!(second.slot.phase(), Phase::Head);
}
