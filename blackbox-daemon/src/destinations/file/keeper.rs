//! The keeper: everything one directory's task does on its disk. Blocks; called off the async threads.
//!
//! A document becomes a file, or is kept in the reserve, or is handed back to be tried again. What stands in the way is
//! worked around where it can be: a directory that was removed is made anew, room is taken from older reports, a
//! file whose fsync failed is made once more from the start, and when no descriptor is left, some that were held back are
//! used.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::backoff::Backoff;
use super::place::{Fault, free_name, is_there, place};
use super::reserve::Reserve;
use super::{Config, directory, name, retention};
use crate::descriptors::Spare;
use crate::destinations::{Document, Kind};
use crate::record::{BootTime, Severity};
use crate::report::format::Format;

/// Descriptors that a report takes: the directory, once more to list it, a file, and another to look into.
const DESCRIPTORS: usize = 4;
/// Bytes that are freed at once when the disk is full.
const ROOM: u64 = 1 << 20;

/// One directory, and what is known of it.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) config: Config,
    /// Of the directory, without links.
    pub(super) path: PathBuf,
    pub(super) reserve: Reserve,
    /// Whether it was said already that the reserve is missing.
    pub(super) missed: bool,
    /// When the reserve may be made again, if making it failed.
    pub(super) making: Backoff,
    /// When a block is next written to see whether the disk takes it.
    pub(super) beat: BootTime,
    /// Whether space was short when it was last looked at.
    pub(super) short: bool,
    pub(super) spare: Spare,
    /// The severest report that the reserve had no room for: for it older ones may go that are kept otherwise.
    pressed: Option<Severity>,
    /// What the disk said last, for those documents that wait behind others.
    trouble: Option<io::Error>,
}

/// What became of a document.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is a file. With what went wrong afterwards.
    Written(Option<io::Error>),
    /// It is in the reserve, for this reason.
    Reserved(io::Error),
    /// It is nowhere, for this reason, and is to be tried again.
    Waits(io::Error),
    /// It cannot be made.
    Failed(io::Error),
}

impl Keeper {
    /// The keeper of a directory that is there.
    pub(super) fn new(config: Config, path: PathBuf) -> Self {
        Self {
            reserve: Reserve::new(config.reserve),
            config,
            path,
            missed: false,
            making: Backoff::default(),
            beat: BootTime(0),
            short: false,
            spare: Spare::hold(DESCRIPTORS),
            pressed: None,
            trouble: None,
        }
    }

    /// Whether reports wait in the reserve for their files.
    pub(super) fn holds_some(&self) -> bool {
        !self.reserve.names().is_empty()
    }

    /// Takes a new document. `behind`: others wait, and it is not to overtake them.
    pub(super) fn take(&mut self, document: &Document, behind: bool) -> Outcome {
        if behind || self.holds_some() {
            let before = self.trouble.as_ref().map(directory::again);
            let why = before.unwrap_or_else(|| io::ErrorKind::StorageFull.into());
            return self.set_aside(document, why);
        }
        match self.write(document, true) {
            Outcome::Waits(why) => self.set_aside(document, why),
            outcome => outcome,
        }
    }

    /// Keeps it in the reserve, if there is room.
    pub(super) fn set_aside(&mut self, document: &Document, why: io::Error) -> Outcome {
        self.trouble = Some(directory::again(&why));
        match self.spared(|keeper| keeper.reserve(document)) {
            Ok(true) => Outcome::Reserved(why),
            Ok(false) => {
                if document.kind != Kind::Bundle && directory::is_full(&why) {
                    let severity = document.dossier.report.incident.severity;
                    self.pressed = self.pressed.max(Some(severity));
                }
                Outcome::Waits(why)
            }
            Err(Fault::Document(error)) => Outcome::Failed(error),
            Err(fault) => {
                let error = fault.error();
                tracing::debug!(%error, "the reserve could not be used");
                Outcome::Waits(why)
            }
        }
    }

    /// Makes its file. `free`: older reports may go to make room.
    pub(super) fn write(&mut self, document: &Document, free: bool) -> Outcome {
        let severity = document.dossier.report.incident.severity;
        let made = self.spared(|keeper| match keeper.make(document) {
            Err(Fault::Disk(error) | Fault::Sync(error)) if free && directory::is_full(&error) => {
                match keeper.make_room(Some(severity))? {
                    0 => Err(Fault::Disk(error)),
                    _ => keeper.make(document),
                }
            }
            made => made,
        });
        match made {
            Ok(name) => {
                (self.trouble, self.pressed) = (None, None);
                Outcome::Written(self.shed(&name, severity).err())
            }
            Err(Fault::Document(error)) => Outcome::Failed(error),
            Err(fault) => {
                let error = fault.error();
                self.trouble = Some(directory::again(&error));
                Outcome::Waits(error)
            }
        }
    }

    /// Makes the files of the reports in the reserve, oldest first; it is empty afterwards.
    pub(super) fn empty_reserve(&mut self) -> Result<(), io::Error> {
        let emptied = self.spared(|keeper| match keeper.hand_out() {
            Err(Fault::Disk(error) | Fault::Sync(error)) if directory::is_full(&error) => {
                match keeper.make_room(None)? {
                    0 => Err(Fault::Disk(error)),
                    _ => keeper.hand_out(),
                }
            }
            done => done,
        });
        let emptied = emptied.map_err(Fault::error);
        self.trouble = emptied.as_ref().err().map(directory::again);
        emptied
    }

    fn hand_out(&mut self) -> Result<(), Fault> {
        let directory = directory::open(&self.path)?;
        self.reserve.ensure(&directory)?;
        let file = |name: &str, body: &[u8]| put(&directory, name, body);
        self.reserve.hand_out(&directory, file)?;
        self.reserve.ensure(&directory).map(drop)
    }

    /// Does `work`; if no descriptor is left, once more with those that were held back.
    pub(super) fn spared<T>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let done = match work(self) {
            Err(Fault::Disk(error)) if directory::lacks_descriptors(&error) => {
                self.spare.release();
                work(self)
            }
            done => done,
        };
        self.spare.refill();
        done
    }

    /// Its file, by name. After an fsync that failed once more, from the start, as another file.
    fn make(&mut self, document: &Document) -> Result<String, Fault> {
        let directory = directory::open(&self.path)?;
        if document.dossier.case.again && is_there(&directory, document)? {
            return Ok(name::report(document, 0));
        }
        let name = free_name(&directory, document, self.reserve.names())?;
        let attempt = || place(&directory, &name, |disk| document.make(disk).map(drop));
        match attempt() {
            Err(Fault::Sync(error)) => {
                tracing::warn!(%error, name, "fsync failed: the file is thrown away and made anew");
                attempt()
            }
            made => made,
        }
        .map(|()| name)
    }

    /// Removes older reports, for one of this severity or for the one that presses. How many bytes are free now.
    fn make_room(&mut self, severity: Option<Severity>) -> io::Result<u64> {
        let directory = directory::open(&self.path)?;
        let mut freed = 0;
        if let Some(severity) = severity {
            freed = retention::make_room(&directory, severity, (ROOM, false))?;
        }
        if freed == 0
            && let Some(severity) = self.pressed.take()
        {
            freed = retention::make_room(&directory, severity, (ROOM, true))?;
        }
        if freed > 0 {
            tracing::warn!(
                freed,
                "the disk is full: older reports were removed for a newer one"
            );
        }
        Ok(freed)
    }

    fn shed(&mut self, name: &str, severity: Severity) -> io::Result<()> {
        let shed = self.spared(|keeper| {
            let directory = directory::open(&keeper.path)?;
            Ok(retention::apply(
                &directory,
                &keeper.config,
                (name, severity),
            )?)
        });
        shed.map_err(Fault::error)
    }

    /// Whether the reserve took it. Where a report is too long, its incident has a brief there at least.
    fn reserve(&mut self, document: &Document) -> Result<bool, Fault> {
        let Kind::Report(format) = document.kind else {
            return Ok(false);
        };
        let directory = directory::open_existing(&self.path)?;
        if self.keep(&directory, document, format == Format::Brief)? {
            return Ok(true);
        }
        let of = name::report(document, 0);
        let mut names = self.reserve.names().iter();
        if names.all(|name| name::incident(name) != name::incident(&of)) {
            let brief = Document {
                kind: Kind::Report(Format::Brief),
                dossier: Arc::clone(&document.dossier),
            };
            self.keep(&directory, &brief, true)?;
        }
        Ok(false)
    }

    fn keep(
        &mut self,
        directory: &OwnedFd,
        document: &Document,
        brief: bool,
    ) -> Result<bool, Fault> {
        let mut body = Bounded {
            bytes: Vec::new(),
            room: self.reserve.room(brief),
            over: false,
        };
        match document.make(&mut body) {
            Err(_) if body.over => return Ok(false),
            made => made.map_err(Fault::Document)?,
        };
        let name = free_name(directory, document, self.reserve.names())?;
        self.reserve.keep(directory, &name, body.bytes)?;
        Ok(true)
    }
}

/// The file of a report that was in the reserve; there already, if a crash came between that and emptying the reserve.
fn put(directory: &OwnedFd, name: &str, body: &[u8]) -> Result<(), Fault> {
    let mut name = name.to_owned();
    let mut number = 0;
    loop {
        match super::archive::read(directory, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Ok(there) if there == body => return Ok(()),
            Err(error) if directory::lacks_descriptors(&error) => return Err(error.into()),
            _ => {}
        }
        number += 1;
        name = name::another(&name, number);
    }
    let attempt = || place(directory, &name, |disk| disk.write_all(body));
    match attempt() {
        Err(Fault::Sync(_)) => attempt(),
        placed => placed,
    }
}

/// Bytes that have only so much room.
struct Bounded {
    bytes: Vec<u8>,
    room: u64,
    over: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.room {
            self.over = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
