//! The file destination in a temporary directory.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::ToSpan;

use super::keeper::{Keeper, Outcome};
use super::place::{Fault, place};
use super::{Config, FLOOR, check, directory, retention};
use crate::destinations::tests::{document, dossier, made};
use crate::destinations::{Document, Kind};
use crate::record::{BootTime, Severity};

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

/// A keeper that has not looked yet, so it has no reserve.
fn keeper(config: &Config) -> Keeper {
    let path = directory::settle(&config.directory).unwrap();
    Keeper::new(config.clone(), path)
}

pub(super) fn put(config: &Config, document: &Document) {
    let outcome = keeper(config).write(document, false);
    assert!(matches!(outcome, Outcome::Written(None)), "{outcome:?}");
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

/// The incident of this severity, `number` seconds after the sample's.
fn severe(severity: Severity, number: i64) -> Document {
    let mut dossier = dossier(severity.name());
    dossier.report.incident.severity = severity;
    dossier.report.incident.timestamp += number.seconds();
    Document {
        dossier: Arc::new(dossier),
        ..document(severity.name())
    }
}

#[test]
fn the_newest_of_the_severe_stay_whatever_comes_later() {
    let root = tempfile::tempdir().unwrap();
    let floor = FLOOR as i64;
    let config = Config {
        max_files: FLOOR + 4,
        ..Config::new(root.path().to_owned())
    };
    let count = |word: &str| {
        let all = names(root.path());
        all.iter().filter(|name| name.contains(word)).count()
    };
    (0..floor + 4).for_each(|n| put(&config, &severe(Severity::Critical, n)));
    assert_eq!(count("critical"), FLOOR + 4);
    (100..200).for_each(|n| put(&config, &severe(Severity::Low, n)));
    assert_eq!((count("critical"), count("low")), (FLOOR, 4));
    assert!(
        !names(root.path())[0].starts_with("20260304T050607"),
        "the oldest went"
    );
    // A newer one takes the place of the oldest of its kind, and of lesser ones where the floors alone are too much.
    (200..204).for_each(|n| put(&config, &severe(Severity::Critical, n)));
    assert_eq!((count("critical"), count("low")), (FLOOR, 4));
    let less = Config {
        max_files: FLOOR + 1,
        ..config
    };
    put(&less, &severe(Severity::Critical, 300));
    assert_eq!((count("critical"), count("low")), (FLOOR, 1));
}

#[test]
fn room_is_made_for_the_severe_at_the_cost_of_the_lesser() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::new(root.path().to_owned());
    put(&config, &severe(Severity::Critical, 0));
    put(&config, &severe(Severity::Low, 1));
    let directory = directory::open_existing(root.path()).unwrap();
    let room =
        |pressed| retention::make_room(&directory, Severity::High, (1 << 30, pressed)).unwrap();
    assert_eq!(room(false), 0, "both are below their floor");
    assert!(room(true) > 0);
    let left = names(root.path());
    assert!(left.len() == 1 && left[0].contains("critical"), "{left:?}");
    assert_eq!(room(true), 0, "what is left is severer");
    (2..4 + FLOOR as i64).for_each(|n| put(&config, &severe(Severity::Low, n)));
    assert!(room(false) > 0);
    assert_eq!(names(root.path()).len(), 1 + FLOOR);
}

#[test]
fn a_report_in_the_reserve_becomes_its_file() {
    let root = tempfile::tempdir().unwrap();
    let config = Config::new(root.path().to_owned());
    let mut keeper = keeper(&config);
    keeper.probe(BootTime(1)).unwrap();
    assert!(!keeper.holds_some());
    let full = || std::io::ErrorKind::StorageFull.into();
    let document = document("oom-1");
    let outcome = keeper.set_aside(&document, full());
    assert!(matches!(outcome, Outcome::Reserved(_)), "{outcome:?}");
    assert_eq!(names(root.path()), [".reserve"]);
    // Those that come while it waits do not overtake it.
    let outcome = keeper.take(&numbered(5), false);
    assert!(matches!(outcome, Outcome::Reserved(_)), "{outcome:?}");
    let bundle = Document {
        kind: Kind::Bundle,
        ..document.clone()
    };
    let outcome = keeper.take(&bundle, false);
    assert!(matches!(outcome, Outcome::Waits(_)), "{outcome:?}");

    // A later daemon finds them, and one that has its file already is not there twice.
    let path = root.path().join("20260304T050607.891Z_oom-1.json");
    fs::write(&path, made(&document)).unwrap();
    drop(keeper);
    let mut later = self::keeper(&config);
    later.probe(BootTime(1)).unwrap();
    assert!(later.holds_some());
    later.empty_reserve().unwrap();
    assert!(!later.holds_some());
    let wanted = [
        ".reserve",
        "20260304T050607.891Z_oom-1.json",
        "20260304T050612.891Z_oom.json",
    ];
    assert_eq!(names(root.path()), wanted);
    assert_eq!(fs::read(&path).unwrap(), made(&document));
}

#[test]
fn a_report_too_long_for_the_reserve_leaves_a_brief_there() {
    let root = tempfile::tempdir().unwrap();
    let config = Config {
        reserve: 64 << 10,
        ..Config::new(root.path().to_owned())
    };
    let mut keeper = keeper(&config);
    keeper.probe(BootTime(1)).unwrap();
    let mut long = dossier("oom");
    long.report
        .incident
        .context
        .insert("padding".to_owned(), "x".repeat(64 << 10).into());
    let long = Document {
        dossier: Arc::new(long),
        ..document("oom")
    };
    let full = || std::io::ErrorKind::StorageFull.into();
    for _ in 0..2 {
        let outcome = keeper.set_aside(&long, full());
        assert!(matches!(outcome, Outcome::Waits(_)), "{outcome:?}");
    }
    keeper.empty_reserve().unwrap();
    assert_eq!(
        names(root.path()),
        [".reserve", "20260304T050607.891Z_oom.brief.md"]
    );
}

#[test]
fn the_probe_says_what_is_wrong_and_mends_what_it_can() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("reports");
    let mut keeper = keeper(&Config::new(directory.clone()));
    let mut second = 0;
    let mut probe = || {
        second += 1;
        keeper.probe(BootTime(second * 1_000_000_000))
    };
    probe().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(probe().unwrap_err(), "the directory was removed");
    probe().unwrap();
    assert_eq!(names(&directory), [".reserve"]);
    fs::remove_file(directory.join(".reserve")).unwrap();
    assert_eq!(probe().unwrap_err(), "the reserve was missing");
    probe().unwrap();
    assert_eq!(names(&directory), [".reserve"]);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    symlink(elsewhere.path(), &directory).unwrap();
    assert_eq!(
        probe().unwrap_err(),
        "something else is in the directory's place"
    );
    assert!(names(elsewhere.path()).is_empty());
    fs::remove_file(&directory).unwrap();
    probe().unwrap_err();
    probe().unwrap();
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
    let directory = directory::open_existing(root.path()).unwrap();
    // The last step fails: a file can't be renamed over a directory.
    fs::create_dir(root.path().join("taken")).unwrap();
    assert!(place(&directory, "taken", |file| file.write_all(b"x")).is_err());
    let fault = place(&directory, "new", |_| {
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert!(
        matches!(fault, Err(Fault::Document(_))),
        "the disk said nothing"
    );
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
