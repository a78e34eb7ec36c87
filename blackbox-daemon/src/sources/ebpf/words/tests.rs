//! Words are told once, whole, and with their beginning.

use super::*;

fn empty() -> LastWords {
    let piece = Piece {
        at: 0,
        start: 0,
        position: 0,
        written: 0,
        tgid: 0,
        tid: 0,
        kept: 0,
        fd: 0,
        comm: [0; 16],
    };
    LastWords {
        count: 0,
        position: 0,
        stderr_at: 0,
        head: piece,
        head_bytes: [0; 2 * blackbox_common::words::HEAD_LEN],
        pieces: [piece; PIECES],
        bytes: [0; WORDS_LEN + 2 * blackbox_common::words::PIECE_LEN],
    }
}

fn say(words: &mut LastWords, at: u64, text: &[u8]) {
    let from = (words.position % WORDS_LEN as u64) as usize;
    words.bytes[from..from + text.len()].copy_from_slice(text);
    words.pieces[(words.count % PIECES as u64) as usize] = Piece {
        at,
        start: 1,
        position: words.position,
        written: text.len() as u64,
        tgid: 7,
        tid: 7,
        kept: text.len() as u32,
        fd: 2,
        comm: [0; 16],
    };
    words.position += text.len() as u64;
    words.count += 1;
}

fn texts<'a>(records: &'a [Record]) -> Vec<&'a str> {
    let text = |record: &'a Record| match &record.event {
        Event::Words(words) => Some(words.text.as_str()),
        _ => None,
    };
    records.iter().filter_map(text).collect()
}

fn grow(words: &mut LastWords, text: &[u8]) {
    let last = (words.count - 1) % PIECES as u64;
    say(words, 0, text);
    words.count -= 1;
    let last = &mut words.pieces[last as usize];
    last.kept += text.len() as u32;
    last.written += text.len() as u64;
}

#[test]
fn pieces_of_one_line_are_one_record_and_told_once() {
    let mut words = empty();
    let mut told = Told::default();
    say(&mut words, 1_000, b"panic: ");
    say(&mut words, 2_000, b"no config\n");
    say(&mut words, 900_000_000, b"later\n");
    let made = records(&words, &mut told, CgroupId(3));
    assert_eq!(texts(&made), ["panic: no config\n", "later\n"]);
    assert!(records(&words, &mut told, CgroupId(3)).is_empty());
    grow(&mut words, b"and more\n");
    let made = records(&words, &mut told, CgroupId(3));
    assert_eq!(texts(&made), ["and more\n"]);
    assert!(records(&words, &mut told, CgroupId(3)).is_empty());
}

#[test]
fn the_beginning_is_told_where_its_bytes_are_gone() {
    let mut words = empty();
    let mut told = Told::default();
    say(&mut words, 1, b"fatal error: stack overflow\n");
    words.head = words.pieces[0];
    words.head_bytes[..28].copy_from_slice(b"fatal error: stack overflow\n");
    for n in 0..200_u64 {
        say(&mut words, 2 + n, format!("main.f({n:>90})\n").as_bytes());
    }
    let made = records(&words, &mut told, CgroupId(3));
    assert_eq!(texts(&made)[0], "fatal error: stack overflow\n");
    let Event::Words(first) = &made[0].event else {
        panic!("words");
    };
    let rest: u64 = texts(&made)[1..].iter().map(|text| text.len() as u64).sum();
    assert_eq!(28 + first.cut + rest, words.position);
    assert!(records(&words, &mut told, CgroupId(3)).is_empty());
}

#[test]
fn a_beginning_that_is_there_is_not_told_twice() {
    let mut words = empty();
    say(&mut words, 1, b"oops\n");
    words.head = words.pieces[0];
    words.head_bytes[..5].copy_from_slice(b"oops\n");
    let made = records(&words, &mut Told::default(), CgroupId(3));
    assert_eq!(texts(&made), ["oops\n"]);
}

#[test]
fn a_beginning_that_is_newer_than_the_oldest_bytes_is_among_them() {
    let mut words = empty();
    say(&mut words, 1, b"starting\n");
    say(&mut words, 900_000_000, b"oops\n");
    words.head = words.pieces[1];
    words.head_bytes[..5].copy_from_slice(b"oops\n");
    let made = records(&words, &mut Told::default(), CgroupId(3));
    assert_eq!(texts(&made), ["starting\n", "oops\n"]);
}

#[test]
fn what_was_overwritten_is_left_out() {
    let mut words = empty();
    for n in 0..1000_u64 {
        say(
            &mut words,
            n * 1_000_000_000,
            format!("line {n:>90}\n").as_bytes(),
        );
    }
    let made = records(&words, &mut Told::default(), CgroupId(3));
    assert!(made.len() > 60 && made.len() < 86, "{}", made.len());
    assert!(texts(&made).last().unwrap().ends_with("999\n"));
    assert!(
        texts(&made)
            .iter()
            .all(|text| text.starts_with("line ") && text.ends_with('\n'))
    );
}
