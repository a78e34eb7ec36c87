//! A document: one report in one format, or its bundle, on its way to a destination.
//!
//! It holds no bytes. A destination makes them while it writes, in its own task: however long a report is, that takes a
//! buffer, and how fast a destination is concerns nobody else. The same document gives the same bytes each time.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use jiff::Timestamp;

use super::Kind;
use crate::journal::Telling;
use crate::metrics::Metrics;
use crate::report::Report;
use crate::report::case::Case;
use crate::report::format::Options;
use crate::{bundle, clock};

/// Bytes that are written at once.
pub(super) const PIECE: usize = 64 << 10;

/// A report and what it was made from: all that its documents are made of.
#[derive(Debug)]
pub struct Dossier {
    pub case: Case,
    pub report: Report,
    /// What formats are told.
    pub options: Options,
    /// Who counts what is made in each format.
    pub metrics: Option<Metrics>,
    /// Tells the journal when no destination has anything left to do with it.
    pub telling: Option<Telling>,
}

/// One report in one format, or its bundle. Clones share the dossier.
#[derive(Clone, Debug)]
pub struct Document {
    pub kind: Kind,
    pub dossier: Arc<Dossier>,
}

impl Document {
    /// Whose report. Sidecars choose ids, so destinations clean it for file names and headers.
    #[must_use]
    pub fn incident_id(&self) -> &str {
        &self.dossier.report.incident.id
    }

    /// When the incident happened.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.dossier.report.incident.timestamp
    }

    /// Writes it in pieces, ended by a line break if it is text.
    ///
    /// # Errors
    /// The report cannot be expressed in this format, or `out` takes no more.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(PIECE, out);
        let Dossier {
            case,
            report,
            options,
            ..
        } = &*self.dossier;
        match self.kind {
            Kind::Report(format) => format.write(&mut out, report, *options)?,
            Kind::Bundle => bundle::pack(case, report, &mut out)?,
        }
        out.flush()
    }

    /// Writes it for the first time, which is counted; returns its length in bytes.
    ///
    /// # Errors
    /// As for [`Document::write`].
    pub(super) fn make(&self, out: impl Write) -> io::Result<u64> {
        let mut taken = Taken {
            out,
            bytes: 0,
            failed: false,
        };
        let started = clock::boot_now();
        let made = self.write(&mut taken);
        if let (Kind::Report(format), Some(metrics)) = (self.kind, &self.dossier.metrics) {
            let took = clock::boot_now().since(started);
            match &made {
                Ok(()) => metrics.formatted(format, took, taken.bytes),
                // That a disk is full is nothing that a format can help.
                Err(_) if taken.failed => {}
                Err(_) => metrics.not_formatted(format),
            }
        }
        made.map(|()| taken.bytes)
    }
}

/// Passes on what is written, counts it, and knows whether it was taken.
struct Taken<W> {
    out: W,
    bytes: u64,
    failed: bool,
}

impl<W: Write> Write for Taken<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        match &written {
            Ok(count) => self.bytes += *count as u64,
            Err(_) => self.failed = true,
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|_| self.failed = true)
    }
}
