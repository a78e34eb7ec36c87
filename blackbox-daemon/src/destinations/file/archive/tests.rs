//! The archive in a directory with reports, and with what else may lie there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};

use super::Archive;
use crate::destinations::file::Config;
use crate::destinations::file::tests::put as write;
use crate::destinations::tests::dossier;
use crate::destinations::{Document, Kind};
use crate::report::Report;
use crate::report::format::Format;
use crate::report::format::tests::sample_report;

/// A report of the incident `id`, `second` seconds after the sample's.
fn report(id: &str, second: i64) -> Report {
    let mut report = sample_report();
    report.incident.id = id.to_owned();
    report.incident.timestamp += second.seconds();
    report
}

fn put(directory: &Path, report: &Report) {
    let mut dossier = dossier("");
    dossier.report = report.clone();
    let document = Document {
        kind: Kind::Report(Format::Json),
        dossier: Arc::new(dossier),
    };
    write(&Config::new(directory.to_owned()), &document);
}

async fn ids(archive: &Archive) -> Vec<String> {
    let reports = archive.list().await.unwrap().reports;
    reports.iter().map(|one| one.summary.id.clone()).collect()
}

#[tokio::test]
async fn the_newest_come_first_and_what_has_gone_is_forgotten() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::new(root.path().to_owned());
    assert!(ids(&archive).await.is_empty());
    for (id, second) in [("b", 2), ("a", 1), ("c", 3)] {
        put(root.path(), &report(id, second));
    }
    assert_eq!(ids(&archive).await, ["c", "b", "a"]);
    fs::remove_file(root.path().join("20260304T050609.891Z_b.json")).unwrap();
    assert_eq!(ids(&archive).await, ["c", "a"]);
    assert_eq!(archive.shared.known.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_is_read_once() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::new(root.path().to_owned());
    put(root.path(), &report("a", 1));
    assert_eq!(ids(&archive).await, ["a"]);
    // Nothing of ours ever does this; it shows that the file is not read again.
    fs::write(root.path().join("20260304T050608.891Z_a.json"), "{}").unwrap();
    assert_eq!(ids(&archive).await, ["a"]);
}

#[tokio::test]
async fn a_report_comes_in_every_format() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::new(root.path().to_owned());
    let (old, new) = (report("same", 1), report("same", 2));
    put(root.path(), &new);
    put(root.path(), &old);
    for format in Format::ALL {
        let found = archive.get("same".to_owned(), format).await.unwrap();
        assert_eq!(found.unwrap(), format.render(&new).unwrap(), "{format}");
    }
}

#[tokio::test]
async fn what_is_no_report_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::new(root.path().to_owned());
    put(root.path(), &report("good", 1));
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), &report("outside", 2));
    let planted = "20260304T050609.891Z_outside.json";
    symlink(outside.path().join(planted), root.path().join(planted)).unwrap();
    for (name, text) in [
        ("20260304T050610.891Z_broken.json", "{\"incident\":"),
        ("20260304T050611.891Z_foreign.json", "{\"id\": 1}"),
        ("20260304T050612.891Z_page.txt", "not JSON"),
        ("notes.json", "{}"),
    ] {
        fs::write(root.path().join(name), text).unwrap();
    }
    fs::create_dir(root.path().join("20260304T050613.891Z_dir.json")).unwrap();
    let huge = fs::File::create(root.path().join("20260304T050614.891Z_huge.json")).unwrap();
    huge.set_len(super::MAX_FILE + 1).unwrap();
    for _ in 0..2 {
        let listing = archive.list().await.unwrap();
        assert_eq!(listing.reports.len(), 1);
        assert_eq!(listing.unreadable, 5);
    }
}

#[tokio::test]
async fn hostile_ids_are_no_paths() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::new(root.path().to_owned());
    let long = "x".repeat(10_000);
    for id in ["../../etc/passwd", "a\0b", "", ".", "/etc/passwd", &long] {
        let get = || archive.get(id.to_owned(), Format::Json);
        assert!(get().await.unwrap().is_none(), "{id:?}");
        put(root.path(), &report(id, 1));
        let json = get().await.unwrap().unwrap();
        let read: Report = serde_json::from_slice(&json).unwrap();
        assert_eq!(read.incident.id, id);
        assert!(read.incident.timestamp > Timestamp::UNIX_EPOCH);
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::new(root.path().join("missing"));
    let error = archive.list().await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}
