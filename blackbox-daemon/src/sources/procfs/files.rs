//! The node's files below one root, kept open: each tick reads them again, and walks no path.
//!
//! A dozen, with a page of the kernel's memory each. One that cannot be read is let go, and opened again the next time.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use ::procfs::{FromRead, ProcError, ProcResult};

use crate::sources::whole;

/// Why one file gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: not in the form expected: {why}", path.display())]
    Parse { path: PathBuf, why: String },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    kept: HashMap<&'static str, File>,
    buffer: Vec<u8>,
}

impl Files {
    /// Those of the procfs mounted at `root`. Opens nothing yet.
    pub(super) fn below(root: PathBuf) -> Self {
        Self {
            root,
            kept: HashMap::new(),
            buffer: Vec::new(),
        }
    }

    /// What `name` says, as `parse` understands it.
    ///
    /// # Errors
    /// It cannot be read, or not be understood; with its path.
    pub(super) fn parse<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> ProcResult<T>,
    ) -> Result<T, Error> {
        let path = || self.root.join(name);
        self.buffer.clear();
        let read = match self.kept.get(name) {
            Some(file) => whole::read(file, &mut self.buffer),
            None => File::open(path()).and_then(|file| {
                whole::read(&file, &mut self.buffer)?;
                self.kept.insert(name, file);
                Ok(())
            }),
        };
        if let Err(source) = read {
            let path = path();
            self.kept.remove(name);
            return Err(Error::Read { path, source });
        }
        let text = std::str::from_utf8(&self.buffer).map_err(|error| error.to_string());
        let parsed = text.and_then(|text| parse(text).map_err(why));
        parsed.map_err(|why| Error::Parse { path: path(), why })
    }

    /// The same with one of the procfs crate's parsers.
    ///
    /// # Errors
    /// As [`Files::parse`].
    pub(super) fn parse_as<T: FromRead>(&mut self, name: &'static str) -> Result<T, Error> {
        self.parse(name, |text| T::from_read(text.as_bytes()))
    }
}

fn why(error: ProcError) -> String {
    match error {
        // Its own text asks the user to report a bug in the parser, over two lines.
        ProcError::InternalError(internal) => internal.msg,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_kept_file_is_read_anew_and_one_that_failed_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("loadavg");
        let mut files = Files::below(root.path().to_owned());
        let mut text = || files.parse("loadavg", |text| Ok(text.to_owned()));
        let Err(Error::Read { source, .. }) = text() else {
            panic!("it is not there");
        };
        assert_eq!(source.kind(), io::ErrorKind::NotFound);
        fs::write(&path, "one").unwrap();
        assert_eq!(text().unwrap(), "one");
        fs::write(&path, "two, longer").unwrap();
        assert_eq!(text().unwrap(), "two, longer");
        fs::write(&path, b"\xff").unwrap();
        assert!(matches!(text(), Err(Error::Parse { .. })));
        assert_eq!(files.kept.len(), 1);
    }
}
