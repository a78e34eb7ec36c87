//! Files of procfs and of cgroups, read whole with as few calls as they allow: no size is asked for, as they have none.

use std::io;
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::{pread, retry_on_intr};

/// What is read at once, bytes: as much as the kernel hands out of such a file in one piece.
const PIECE: usize = 4096;
/// What is shorter is the file's end. The kernel fills a page with records for as long as they fit (fs/seq_file.c), and no
/// record of such a file is half a page long, unless it is the only one.
const LAST: usize = PIECE / 2;

/// Appends all that `file` says now to `buffer`; a file that is kept open is read anew.
///
/// # Errors
/// The kernel's; then `buffer` has a part of it, or nothing.
pub(super) fn read(file: impl AsFd, buffer: &mut Vec<u8>) -> io::Result<()> {
    let mut at = 0;
    loop {
        buffer.reserve(PIECE);
        let count = retry_on_intr(|| pread(&file, spare_capacity(buffer), at))?;
        if count < LAST {
            return Ok(());
        }
        at += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn files_are_read_whole_whatever_their_length_and_anew() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for length in [0, 1, LAST, PIECE - 1, PIECE, PIECE + 1, 10 * PIECE + LAST] {
            fs::write(file.path(), "x".repeat(length)).unwrap();
            let mut text = b"before".to_vec();
            read(file.as_file(), &mut text).unwrap();
            assert_eq!(text.len(), "before".len() + length);
        }
    }

    #[test]
    fn the_kernels_own_come_page_by_page() {
        let file = File::open("/proc/self/smaps").unwrap();
        for _ in 0..2 {
            let (mut text, known) = (Vec::new(), fs::read("/proc/self/smaps").unwrap().len());
            read(&file, &mut text).unwrap();
            // It grows by what is allocated meanwhile.
            assert!(text.len() > 4 * PIECE && text.len().abs_diff(known) < PIECE);
        }
    }
}
