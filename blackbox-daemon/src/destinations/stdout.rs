//! The stdout destination: each document as it is made; each format ends its last line.
//!
//! Writes to the descriptor itself, because `std::io::Stdout` takes a closed stdout for success. Its lock is
//! held meanwhile, so that nothing else that goes through it lands inside a report.

use std::fs::File;
use std::io;
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
    let document = document.clone();
    tokio::task::spawn_blocking(move || {
        let stdout = io::stdout().lock();
        document.make(descriptor(&stdout)?)
    })
    .await
    .map_err(Error::Ended)?
    .map_err(Error::Write)?;
    Ok(())
}

fn descriptor(out: &impl AsFd) -> io::Result<File> {
    Ok(File::from(out.as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};

    use super::descriptor;
    use crate::destinations::tests::document;

    #[test]
    fn documents_follow_each_other_line_by_line() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        });
        let (one, two) = (document("one"), document("two"));
        for document in [&one, &two] {
            document.make(descriptor(&writer).unwrap()).unwrap();
        }
        drop(writer);
        let mut both = Vec::new();
        one.write(&mut both).unwrap();
        two.write(&mut both).unwrap();
        assert_eq!(reading.join().unwrap(), both);
        assert!(both.ends_with(b"\n"));
    }

    #[test]
    fn a_reader_that_left_is_an_error() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let made = document("one").make(descriptor(&writer).unwrap());
        assert_eq!(made.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
