//! The file destination in a temporary directory.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan;

use super::{Config, check, open_directory, place, write};
use crate::destinations::Document;
use crate::destinations::tests::{document, dossier, made};

/// The `number`th incident.
fn numbered(number: i64) -> Document {
    let mut dossier = dossier("oom");
    dossier.report.incident.timestamp += number.seconds();
    Document {
        dossier: Arc::new(dossier),
        ..document("oom")
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn put(config: &Config, document: &Document) {
    assert!(write(config, document).unwrap().is_none());
}

#[test]
fn a_document_becomes_one_file() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::new(root.path().join("a/b"));
    put(&config, &document("oom-1"));
    assert_eq!(
        names(&config.directory),
        ["20260304T050607.891Z_oom-1.json"]
    );
    let path = config.directory.join("20260304T050607.891Z_oom-1.json");
    assert_eq!(fs::read(&path).unwrap(), made(&document("oom-1")));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o644
    );
}

#[test]
fn names_that_look_alike_do_not_replace_each_other() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::new(root.path().to_owned());
    for id in ["a/b", "a_b", "a b"] {
        put(&config, &document(id));
    }
    assert_eq!(
        names(root.path()),
        [
            "20260304T050607.891Z_a_b-1.json",
            "20260304T050607.891Z_a_b-2.json",
            "20260304T050607.891Z_a_b.json",
        ]
    );
}

#[test]
fn the_oldest_go_by_count() {
    let root = tempfile::tempdir().unwrap();
    let config = Config {
        max_files: 3,
        ..Config::new(root.path().to_owned())
    };
    for number in [3, 1, 2, 4, 5] {
        put(&config, &numbered(number));
    }
    assert_eq!(
        names(root.path()),
        ["10", "11", "12"].map(|second| format!("20260304T0506{second}.891Z_oom.json"))
    );
}

#[test]
fn the_oldest_go_by_bytes_and_the_newest_stays() {
    let root = tempfile::tempdir().unwrap();
    let length = made(&numbered(1)).len() as u64;
    let config = Config {
        max_bytes: length * 5 / 2,
        ..Config::new(root.path().to_owned())
    };
    (1..=4).for_each(|number| put(&config, &numbered(number)));
    assert_eq!(names(root.path()).len(), 2);

    // The clock was set back and the report alone is too big: the incident just written is kept all the same.
    let mut big = dossier("oom");
    big.report.incident.timestamp -= 60.seconds();
    big.report.incident.message = "x".repeat(3 * length as usize);
    let big = Document {
        dossier: Arc::new(big),
        ..document("oom")
    };
    put(&config, &big);
    assert_eq!(names(root.path()), ["20260304T050507.891Z_oom.json"]);
}

#[test]
fn only_our_own_files_are_removed() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let config = Config {
        max_files: 1,
        ..Config::new(root.path().to_owned())
    };
    let link = "20200101T000000.000Z_link.json";
    let folder = "20200101T000000.000Z_folder.json";
    fs::write(root.path().join("incidents.log"), "v1").unwrap();
    fs::create_dir(root.path().join(folder)).unwrap();
    symlink(outside.path(), root.path().join(link)).unwrap();
    fs::write(root.path().join("20200101T000000.000Z_ours.csv"), "x").unwrap();
    put(&config, &document("new"));
    assert_eq!(
        names(root.path()),
        [
            folder,
            link,
            "20260304T050607.891Z_new.json",
            "incidents.log"
        ]
    );
}

#[test]
fn temporary_files_of_a_crash_go_once_they_are_stale() {
    let root = tempfile::tempdir().unwrap();
    let stale = root.path().join(".20200101T000000.000Z_a.json.0.tmp");
    let fresh = ".20200101T000000.000Z_b.json.0.tmp";
    fs::write(root.path().join(fresh), "half").unwrap();
    fs::write(root.path().join(".other.0.tmp"), "half").unwrap();
    let file = fs::File::create(&stale).unwrap();
    let long_ago = file.metadata().unwrap().modified().unwrap() - Duration::from_secs(3600);
    file.set_modified(long_ago).unwrap();
    put(&Config::new(root.path().to_owned()), &document("new"));
    assert_eq!(
        names(root.path()),
        [fresh, ".other.0.tmp", "20260304T050607.891Z_new.json"]
    );
}

#[test]
fn planted_links_are_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    let name = "20260304T050607.891Z_oom-1.json";
    symlink(outside.path(), root.path().join(name)).unwrap();
    for planted in [
        format!(".{name}.0.tmp"),
        ".20260304T050607.891Z_oom-1-1.json.0.tmp".into(),
    ] {
        symlink(outside.path(), root.path().join(planted)).unwrap();
    }
    put(&Config::new(root.path().to_owned()), &document("oom-1"));
    assert_eq!(fs::read(outside.path()).unwrap(), b"");
    let written = root.path().join("20260304T050607.891Z_oom-1-1.json");
    assert!(fs::symlink_metadata(written).unwrap().is_file());
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let directory = open_directory(root.path()).unwrap();
    // The last step fails: a file can't be renamed over a directory.
    fs::create_dir(root.path().join("taken")).unwrap();
    assert!(place(&directory, "taken", |mut file| file.write_all(b"x")).is_err());
    let full = |_: &fs::File| Err(std::io::ErrorKind::StorageFull.into());
    assert!(place(&directory, "new", full).is_err());
    assert_eq!(names(root.path()), ["taken"]);
}

#[test]
fn a_check_creates_the_directory_and_leaves_it_empty() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("a/b");
    check(&directory).unwrap();
    assert_eq!(names(&directory), [""; 0]);
    assert_eq!(
        fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
        0o755
    );
}
