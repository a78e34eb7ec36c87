//! The reserve in a temporary directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use rustix::fs::Mode;

use super::super::directory::open_existing;
use super::*;

const SIZE: u64 = 128 << 10;

fn made(root: &Path) -> (OwnedFd, Reserve) {
    let directory = open_existing(root).unwrap();
    let mut reserve = Reserve::new(SIZE);
    assert!(reserve.ensure(&directory).unwrap());
    (directory, reserve)
}

fn name(number: u32) -> String {
    format!("20260304T050607.891Z_oom-{number}.json")
}

/// What it hands out.
fn out(reserve: &mut Reserve, directory: &OwnedFd) -> Vec<(String, usize)> {
    let mut handed = Vec::new();
    let take = |name: &str, body: &[u8]| {
        handed.push((name.to_owned(), body.len()));
        Ok(())
    };
    reserve.hand_out(directory, take).unwrap();
    handed
}

#[test]
fn it_has_its_blocks_from_the_start() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut reserve) = made(root.path());
    let before = fs::metadata(root.path().join(NAME)).unwrap();
    assert_eq!(before.len(), SIZE);
    assert!(before.blocks() * 512 >= SIZE, "{} blocks", before.blocks());
    while reserve.room(true) > 0 {
        let body = vec![b'x'; reserve.room(true).min(9000) as usize];
        reserve.keep(&directory, &name(1), body).unwrap();
    }
    let after = fs::metadata(root.path().join(NAME)).unwrap();
    let of = |meta: &fs::Metadata| (meta.ino(), meta.len(), meta.blocks());
    assert_eq!(of(&before), of(&after), "it was written in place");
}

#[test]
fn what_is_kept_is_handed_out_in_order_and_once() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut reserve) = made(root.path());
    for number in 1..=3 {
        let body = vec![b'x'; number as usize * 5000];
        reserve.keep(&directory, &name(number), body).unwrap();
    }
    assert_eq!(reports(&directory).unwrap().len(), 3);
    let room = reserve.room(true);
    let wanted = [(name(1), 5000), (name(2), 10_000), (name(3), 15_000)];
    assert_eq!(out(&mut reserve, &directory), wanted);
    assert!(reserve.room(true) > room);
    assert!(out(&mut reserve, &directory).is_empty());
    assert!(reports(&directory).unwrap().is_empty());
    let bytes = fs::read(root.path().join(NAME)).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0), "nothing of it is left");
}

#[test]
fn a_later_daemon_finds_what_an_earlier_one_kept() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut reserve) = made(root.path());
    reserve.keep(&directory, &name(1), vec![b'a'; 100]).unwrap();
    reserve
        .keep(&directory, &name(2), vec![b'b'; 9000])
        .unwrap();
    // The second was torn: its last bytes never came to the disk.
    let path = root.path().join(NAME);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 4096], 3 * 4096).unwrap();

    let mut later = Reserve::new(SIZE);
    assert!(!later.ensure(&directory).unwrap(), "it is used as it is");
    assert_eq!(later.names(), [name(1)]);
    later.keep(&directory, &name(3), vec![b'c'; 50]).unwrap();
    let wanted = [(name(1), 100), (name(3), 50)];
    assert_eq!(out(&mut later, &directory), wanted);

    // Of another size: what it holds is handed out, then it is made anew.
    reserve.used = 0;
    reserve.keep(&directory, &name(4), vec![b'd'; 100]).unwrap();
    let mut larger = Reserve::new(2 * SIZE);
    assert!(!larger.ensure(&directory).unwrap());
    assert_eq!((larger.names().len(), larger.room(true)), (1, 0));
    assert_eq!(out(&mut larger, &directory), [(name(4), 100)]);
    assert!(larger.ensure(&directory).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().len(), 2 * SIZE);
}

#[test]
fn what_somebody_put_in_its_place_is_replaced_and_never_written() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    // As large as the reserve, so that nothing but its other name gives it away.
    fs::write(&victim, vec![b'v'; SIZE as usize]).unwrap();
    let plants: [fn(&Path, &Path); 5] = [
        |at, victim| symlink(victim, at).unwrap(),
        |at, victim| fs::hard_link(victim, at).unwrap(),
        |at, _| rustix::fs::mkfifoat(rustix::fs::CWD, at, Mode::RWXU).unwrap(),
        |at, _| fs::create_dir(at).unwrap(),
        |at, _| fs::write(at, "short").unwrap(),
    ];
    for (number, plant) in plants.into_iter().enumerate() {
        let root = tempfile::tempdir_in(outside.path()).unwrap();
        let at = root.path().join(NAME);
        plant(&at, &victim);
        assert!(
            reports(&open_existing(root.path()).unwrap())
                .unwrap()
                .is_empty()
        );
        let (directory, mut reserve) = made(root.path());
        reserve.keep(&directory, &name(1), vec![b'x'; 100]).unwrap();
        // And again while it is in use: what it held is lost, and said so.
        fs::remove_file(&at).unwrap();
        plant(&at, &victim);
        assert!(!reserve.is_well(&directory).unwrap(), "plant {number}");
        assert!(reserve.keep(&directory, &name(2), vec![b'x'; 100]).is_err());
        assert!(reserve.ensure(&directory).unwrap(), "plant {number}");
        reserve.keep(&directory, &name(3), vec![b'x'; 100]).unwrap();
        assert_eq!(out(&mut reserve, &directory), [(name(3), 100)]);
    }
    let bytes = fs::read(&victim).unwrap();
    assert!(bytes.len() == SIZE as usize && bytes.iter().all(|byte| *byte == b'v'));
}

#[test]
fn briefs_have_room_that_others_cannot_take() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut reserve) = made(root.path());
    let long = vec![b'x'; reserve.room(false) as usize];
    reserve.keep(&directory, &name(1), long).unwrap();
    assert_eq!(reserve.room(false), 0);
    assert!(reserve.room(true) >= SIZE / 8, "{}", reserve.room(true));
}

#[test]
fn after_a_write_that_failed_it_takes_no_more_until_it_is_made_anew() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut reserve) = made(root.path());
    reserve.keep(&directory, &name(1), vec![b'x'; 100]).unwrap();
    let before = fs::metadata(root.path().join(NAME)).unwrap().ino();
    reserve.sound = false;
    assert_eq!(reserve.room(true), 0);
    assert!(!reserve.ensure(&directory).unwrap(), "it holds a report");
    assert_eq!(out(&mut reserve, &directory), [(name(1), 100)]);
    assert!(reserve.ensure(&directory).unwrap());
    let after = fs::metadata(root.path().join(NAME)).unwrap().ino();
    assert!(before != after && reserve.room(true) > 0);
}
