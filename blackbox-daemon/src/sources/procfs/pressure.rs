//! Pressure stall information: the text of `/proc/pressure/*` or a cgroup's `*.pressure` becomes a [`Stall`].
//!
//! The format is the kernel's (Documentation/accounting/psi.rst). The `full` line is optional here, as before
//! Linux 5.13 the CPU has none; a kernel that offers nothing is told from one that fails.

use std::io;

use ::procfs::{ProcError, ProcResult, parse_pressure_record};

use crate::record::Stall;

/// Whether this error of a pressure file means that there is no such information: the file is not there,
/// or PSI is switched off (`EOPNOTSUPP`, kernel/sched/psi.c).
pub(crate) fn not_offered(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error())
}

/// Reads the `some` line and, if there is one, the `full` line.
pub(crate) fn parse(text: &str) -> ProcResult<Stall> {
    // With the blank: the crate's parser cuts five bytes off without looking.
    let line_of = |kind: &str| text.lines().find(|line| line.starts_with(kind));
    let some = line_of("some ").ok_or(ProcError::Incomplete(None))?;
    let some = parse_pressure_record(some)?;
    let full = line_of("full ").map(parse_pressure_record).transpose()?;
    Ok(Stall {
        some_avg10: some.avg10,
        some_total: some.total,
        full_avg10: full.as_ref().map(|full| full.avg10),
        full_total: full.as_ref().map(|full| full.total),
    })
}

/// The same without what the `full` line said.
pub(super) fn without_full(stall: Stall) -> Stall {
    Stall {
        full_avg10: None,
        full_total: None,
        ..stall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "some avg10=7.06 avg60=3.72 avg300=1.30 total=16509407\n";
    const FULL: &str = "full avg10=0.35 avg60=0.69 avg300=0.27 total=3805116\n";

    #[test]
    fn both_lines() {
        let stall = parse(&format!("{SOME}{FULL}")).unwrap();
        assert_eq!((stall.some_avg10, stall.some_total), (7.06, 16_509_407));
        assert_eq!(
            (stall.full_avg10, stall.full_total),
            (Some(0.35), Some(3_805_116))
        );
    }

    #[test]
    fn the_full_line_may_be_missing_but_not_the_other() {
        let stall = parse(SOME).unwrap();
        assert_eq!((stall.full_avg10, stall.full_total), (None, None));
        for text in [
            "",
            "some",
            "some ",
            FULL,
            "some avg10=x avg60=0 avg300=0 total=1",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
