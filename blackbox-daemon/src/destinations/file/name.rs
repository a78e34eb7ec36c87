//! The names of report files, made and recognised. Names sort by time, and hold only `[A-Za-z0-9._-]`.

use jiff::Timestamp;

use super::reserve;
use crate::destinations::{Document, Kind};

/// `YYYYMMDDTHHMMSS.mmmZ`, as strftime and as a shape with a `0` for each digit.
const TIME: &str = "%Y%m%dT%H%M%S.%3fZ";
const TIME_SHAPE: &[u8] = b"00000000T000000.000Z";
/// Bytes of an incident's id that a name holds: with all the rest it stays below NAME_MAX, 255
/// (include/uapi/linux/limits.h).
const ID: usize = 200;

/// `<time>_<incident>.<ext>`, or with a `-<number>` before the dot when `number` isn't 0.
pub(super) fn report(document: &Document, number: u32) -> String {
    // Incidents that claim to be older than 1970 would have a sign in their name and never be recognised.
    let time = document.at().max(Timestamp::UNIX_EPOCH).strftime(TIME);
    let allowed = |c: char| if is_allowed(c) { c } else { '_' };
    let id: String = document
        .incident_id()
        .chars()
        .map(allowed)
        .take(ID)
        .collect();
    let ext = document.kind.extension();
    match number {
        0 => format!("{time}_{id}.{ext}"),
        number => format!("{time}_{id}-{number}.{ext}"),
    }
}

/// `.<name>.<number>.tmp`
pub(super) fn temporary(name: &str, number: u32) -> String {
    format!(".{name}.{number}.tmp")
}

/// The name once more, for a report whose name was taken meanwhile.
pub(super) fn another(name: &str, number: u32) -> String {
    let (stem, ext) = (incident(name), &name[incident(name).len()..]);
    format!("{stem}-{number}{ext}")
}

/// What the names of all files of one report have in common: all before the ending.
pub(super) fn incident(name: &str) -> &str {
    let ending = |kind: Kind| name.strip_suffix(kind.extension())?.strip_suffix('.');
    Kind::all()
        .filter_map(ending)
        .min_by_key(|stem| stem.len())
        .unwrap_or(name)
}

/// Whether [`report`] makes such names.
pub(super) fn is_report(name: &str) -> bool {
    let Some((time, rest)) = name.split_once('_') else {
        return false;
    };
    let of = |kind: Kind| {
        let id = rest.strip_suffix(kind.extension())?.strip_suffix('.')?;
        id.chars().all(is_allowed).then_some(())
    };
    is_time(time.as_bytes()) && Kind::all().any(|kind| of(kind).is_some())
}

/// Whether [`temporary`] makes such names for reports, the reserve or a trial.
pub(super) fn is_temporary(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|n| n.strip_suffix(".tmp"));
    let Some((report, number)) = inner.and_then(|inner| inner.rsplit_once('.')) else {
        return false;
    };
    let ours = is_report(report) || [reserve::NAME, super::PROBE].contains(&report);
    ours && number.parse::<u32>().is_ok()
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn is_time(text: &[u8]) -> bool {
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        mark => byte == mark,
    };
    text.len() == TIME_SHAPE.len() && text.iter().zip(TIME_SHAPE).all(fits)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::{is_report, is_temporary, report, temporary};
    use crate::destinations::Document;
    use crate::destinations::tests::{document, dossier};

    #[test]
    fn a_name_says_when_and_which() {
        let document = document("oom-4711.x_Y");
        assert_eq!(
            report(&document, 0),
            "20260304T050607.891Z_oom-4711.x_Y.json"
        );
        assert_eq!(
            report(&document, 2),
            "20260304T050607.891Z_oom-4711.x_Y-2.json"
        );
    }

    #[test]
    fn hostile_ids_stay_in_the_directory_and_are_recognised() {
        let long = "é".repeat(5000);
        for id in ["../../etc/passwd", "a/b\0c\nd", "", ".", &long] {
            let mut old = dossier(id);
            old.report.incident.timestamp = Timestamp::MIN;
            let document = Document {
                dossier: Arc::new(old),
                ..document(id)
            };
            let name = report(&document, 99);
            assert!(is_report(&name), "{name}");
            assert!(!name.contains('/') && !name.contains('\0'), "{name}");
            let temp = temporary(&name, 99);
            assert!(is_temporary(&temp) && temp.len() < 255, "{temp}");
        }
    }

    #[test]
    fn the_files_of_others_are_not_ours() {
        for name in [
            "incidents.log",
            "20260304_050607_default_incident.log",
            "20260304T050607.891Z_oom.html",
            "20260304T050607.891Z-oom.json",
            "2026o304T050607.891Z_oom.json",
            "20260304T050607.891Z_o m.json",
            ".20260304T050607.891Z_oom.json",
            "x20260304T050607.891Z_oom.json",
        ] {
            assert!(!is_report(name) && !is_temporary(name), "{name}");
        }
        assert!(!is_temporary(".notes.0.tmp"));
        assert!(!is_temporary(".20260304T050607.891Z_oom.json.tmp"));
    }
}
