//! The stdout destination: each document as it is, ended by a line break.
//!
//! Writes to the descriptor itself, because `std::io::Stdout` takes a closed stdout for success. Its lock is
//! held meanwhile, so that nothing else that goes through it lands inside a report.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crate::destinations::Document;

/// A document that stdout did not take.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write to stdout")]
    Write(#[source] io::Error),
    #[error("the write to stdout ended early")]
    Ended(#[source] tokio::task::JoinError),
}

/// Writes `document`, off the async threads: a pipe that nobody reads blocks its writer.
pub(super) async fn write(document: &Document) -> Result<(), Error> {
    let bytes = document.bytes.clone();
    tokio::task::spawn_blocking(move || {
        let stdout = io::stdout().lock();
        write_to(&stdout, &bytes)
    })
    .await
    .map_err(Error::Ended)?
    .map_err(Error::Write)
}

fn write_to(descriptor: &impl AsFd, bytes: &[u8]) -> io::Result<()> {
    let mut out = File::from(descriptor.as_fd().try_clone_to_owned()?);
    out.write_all(bytes)?;
    if !bytes.ends_with(b"\n") {
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};

    use super::write_to;

    #[test]
    fn every_document_ends_its_last_line_once() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        write_to(&writer, b"one").unwrap();
        write_to(&writer, b"two\n").unwrap();
        drop(writer);
        let mut read = String::new();
        reader.read_to_string(&mut read).unwrap();
        assert_eq!(read, "one\ntwo\n");
    }

    #[test]
    fn a_reader_that_left_is_an_error() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(
            write_to(&writer, b"one").unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    }
}
