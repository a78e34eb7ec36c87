//! One report in the reserve: a line of text, then its bytes, then zeros up to the next 4 KiB.
//!
//! `blackbox-reserve <SHA-256> <length> <file name>`, so that a person finds reports there with `less` and `strings`. The
//! digest covers length, name and bytes: what a crash tore is no entry. The next one begins a block of its own, so
//! that writing it never rewrites a block that is safe already.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use ring::digest::{Context, SHA256};

use super::super::name;

/// What entries are aligned to, bytes: no smaller than what disks and file systems write at once.
pub(super) const BLOCK: u64 = 4096;
/// Begins each entry.
const MARK: &str = "blackbox-reserve";
/// Longest first line, bytes: a name has 255 at most.
const LINE: u64 = 512;

/// A report that is kept in the reserve.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The file it shall become.
    pub(super) name: String,
    pub(super) body: Vec<u8>,
}

impl Entry {
    /// Whole blocks.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { name, body } = self;
        let mut bytes =
            format!("{MARK} {} {} {name}\n", digest(name, body), body.len()).into_bytes();
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
        bytes
    }

    /// The entry that begins at `offset`, and where the next one would. `None`: there is none, or it is not whole.
    pub(super) fn read(file: &File, offset: u64, end: u64) -> io::Result<Option<(Self, u64)>> {
        let mut line = vec![0; LINE.min(end.saturating_sub(offset)) as usize];
        file.read_exact_at(&mut line, offset)?;
        let Some(head) = Head::parse(&line) else {
            return Ok(None);
        };
        let begin = offset + head.bytes;
        if head.length > end.saturating_sub(begin) {
            return Ok(None);
        }
        let mut body = vec![0; head.length as usize];
        file.read_exact_at(&mut body, begin)?;
        let whole = digest(&head.name, &body) == head.digest;
        let next = (begin + head.length).next_multiple_of(BLOCK);
        let name = head.name;
        Ok(whole.then_some((Self { name, body }, next)))
    }
}

/// The first line.
struct Head {
    digest: String,
    length: u64,
    name: String,
    /// Of the line itself.
    bytes: u64,
}

impl Head {
    /// `None`: it is none of ours. A name that is no report's is none: it may lead out of the directory.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let line = bytes.split(|byte| *byte == b'\n').next()?;
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        let mark = words.next()?;
        let (digest, length, name) = (words.next()?, words.next()?, words.next()?);
        let good = mark == MARK && words.next().is_none() && name::is_report(name);
        Some(Self {
            digest: digest.to_owned(),
            length: length.parse().ok()?,
            name: name.to_owned(),
            bytes: line.len() as u64 + 1,
        })
        .filter(|_| good)
    }
}

fn digest(name: &str, body: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(format!("{} {name}\n", body.len()).as_bytes());
    context.update(body);
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn entry(name: &str, length: usize) -> Entry {
        Entry {
            name: name.to_owned(),
            body: vec![b'x'; length],
        }
    }

    /// A file with these bytes, and zeros behind.
    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.set_len(1 << 20).unwrap();
        file
    }

    #[test]
    fn entries_are_read_as_they_were_written() {
        let name = "20260304T050607.891Z_oom-1.json";
        let entries = [entry(name, 10), entry(name, 0), entry(name, 9000)];
        let bytes: Vec<u8> = entries.iter().flat_map(Entry::encode).collect();
        let file = file(&bytes);
        let mut at = 0;
        for entry in &entries {
            let (read, next) = Entry::read(&file, at, 1 << 20).unwrap().unwrap();
            assert_eq!(read, *entry);
            at = next;
        }
        assert_eq!(at, bytes.len() as u64);
        assert_eq!(Entry::read(&file, at, 1 << 20).unwrap(), None);
    }

    #[test]
    fn what_a_crash_tore_is_no_entry() {
        let whole = entry("20260304T050607.891Z_oom-1.json", 9000).encode();
        let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
        for torn in (0..=used).step_by(512).chain([used]) {
            let mut bytes = whole.clone();
            bytes[torn] ^= 1;
            let read = Entry::read(&file(&bytes), 0, 1 << 20).unwrap();
            assert_eq!(read, None, "byte {torn}");
            let read = Entry::read(&file(&whole[..torn]), 0, 1 << 20).unwrap();
            assert_eq!(read, None, "{torn} bytes");
        }
    }

    #[test]
    fn an_entry_leads_nowhere_else() {
        for name in ["../../etc/passwd", "a/b.json", ".reserve", "x y"] {
            let bytes = entry(name, 3).encode();
            assert_eq!(Entry::read(&file(&bytes), 0, 1 << 20).unwrap(), None);
        }
        let mut long = entry("20260304T050607.891Z_oom-1.json", 3).encode();
        let text = String::from_utf8(std::mem::take(&mut long)).unwrap();
        let huge = text.replacen(" 3 ", " 18446744073709551615 ", 1);
        let read = Entry::read(&file(huge.as_bytes()), 0, 1 << 20).unwrap();
        assert_eq!(read, None);
    }
}
