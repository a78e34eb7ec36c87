//! Destinations beside each other: queues, drains, troubles and recovery.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::http::tests::{Answer, config, serve};
use super::{
    DestinationConfig, DestinationState, Destinations, Document, Dossier, Kind, QUEUE, Unwritten,
    file, http,
};
use crate::bundle::tests::case;
use crate::durability::Durability;
use crate::report::format::tests::sample_report;
use crate::report::format::{Format, Options};

/// What destinations take here.
const JSON: [Format; 1] = [Format::Json];
const PATIENCE: Duration = Duration::from_secs(20);

/// The sample report under another id, and a case that has nothing to do with it.
pub(crate) fn dossier(id: &str) -> Dossier {
    let mut report = sample_report();
    report.incident.id = id.to_owned();
    Dossier {
        telling: None,
        case: case(),
        report,
        options: Options::default(),
        metrics: None,
    }
}

pub(crate) fn document(id: &str) -> Document {
    Document {
        kind: Kind::Report(Format::Json),
        dossier: Arc::new(dossier(id)),
    }
}

/// Its bytes.
pub(super) fn made(document: &Document) -> Vec<u8> {
    let mut bytes = Vec::new();
    document.write(&mut bytes).unwrap();
    bytes
}

fn files(directory: &Path) -> DestinationConfig {
    DestinationConfig::File(file::Config {
        bundles: false,
        reserve: 0,
        ..file::Config::new(directory.to_owned())
    })
}

fn post(url: &str, timeout: Duration) -> DestinationConfig {
    DestinationConfig::Http(config(url, timeout))
}

/// Waits until destination `index` is as `wanted`.
async fn until(
    destinations: &Destinations,
    index: usize,
    wanted: impl Fn(&DestinationState) -> bool,
) -> DestinationState {
    let poll = async {
        loop {
            let state = destinations.states().swap_remove(index);
            if wanted(&state) {
                return state;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.unwrap()
}

#[test]
fn an_output_path_names_a_destination() {
    let name = |path| DestinationConfig::parse(path).map(|config| config.name());
    assert_eq!(name(" stdout ").unwrap(), "stdout");
    assert_eq!(name("/var/log/blackbox").unwrap(), "file:/var/log/blackbox");
    assert_eq!(
        name("https://me:secret@hooks.example/T0/token?key=secret").unwrap(),
        "https://hooks.example"
    );
    assert!(name("http://").is_err());
}

#[tokio::test]
async fn a_directory_has_json_whatever_the_others_get() {
    let directory = tempfile::tempdir().unwrap();
    let (url, _) = serve(vec![Answer::Hang]).await;
    let files = DestinationConfig::File(file::Config::new(directory.path().to_owned()));
    let configs = vec![post(&url, PATIENCE), files];
    let destinations =
        Destinations::start(configs, &[Format::Csv], &Durability::default()).unwrap();
    assert!(destinations.archive().is_some());
    destinations.tell(dossier("one"));
    until(&destinations, 1, |file| file.written == 3).await;
    assert_eq!(destinations.states()[0].waiting, 1, "only the CSV");
    for ending in ["json", "csv", "tar.zst"] {
        let name = format!("20260304T050607.891Z_one.{ending}");
        assert!(directory.path().join(name).is_file(), "{ending}");
    }

    let formats = [Format::Csv];
    let stdout = DestinationConfig::Stdout;
    assert_eq!(stdout.takes(&formats), [Kind::Report(Format::Csv)]);
    let stdout = Destinations::start(vec![stdout], &formats, &Durability::default()).unwrap();
    assert!(stdout.archive().is_none());
}

#[tokio::test]
async fn a_full_queue_is_counted_exactly_and_hurts_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let (url, _) = serve(vec![Answer::Hang]).await;
    let http = post(&url, PATIENCE);
    let destinations = Destinations::start(
        vec![http, files(directory.path())],
        &JSON,
        &Durability::default(),
    )
    .unwrap();

    destinations.tell(dossier("first"));
    // The task takes the first one in hand and hangs; the file's writes it.
    until(&destinations, 1, |file| file.written == 1).await;
    for number in 0..QUEUE + 7 {
        destinations.tell(dossier(&format!("n{number}")));
        until(&destinations, 1, |file| file.waiting == 0).await;
    }

    let states = destinations.states();
    assert_eq!(
        (states[0].dropped, states[0].waiting),
        (7, QUEUE as u64 + 1)
    );
    assert_eq!(
        (states[1].dropped, states[1].written),
        (0, QUEUE as u64 + 8)
    );
    let left = destinations.drain(Duration::from_millis(50)).await;
    assert_eq!(left[0].documents, QUEUE as u64 + 1);
    assert_eq!(left[1].documents, 0);
}

#[tokio::test]
async fn a_server_that_hangs_stops_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (url, _) = serve(vec![Answer::Hang]).await;
    let http = post(&url, Duration::from_millis(200));
    let destinations = Destinations::start(
        vec![http, files(directory.path())],
        &JSON,
        &Durability::default(),
    )
    .unwrap();
    for number in 0..5 {
        destinations.tell(dossier(&format!("n{number}")));
    }
    let file = until(&destinations, 1, |file| file.written == 5).await;
    assert_eq!((file.failed, file.dropped), (0, 0));
    assert_eq!(destinations.states()[0].waiting, 5);

    let http = until(&destinations, 0, |http| http.failed == 1).await;
    assert_eq!(http.waiting, 4);
    let error = http.last_error.unwrap();
    assert!(error.contains("no answer from http://127.0.0.1"), "{error}");
}

#[tokio::test]
async fn a_drain_writes_what_is_queued_and_refuses_more() {
    let directory = tempfile::tempdir().unwrap();
    let destinations =
        Destinations::start(vec![files(directory.path())], &JSON, &Durability::default()).unwrap();
    let late = destinations.clone();
    for number in 0..QUEUE {
        destinations.tell(dossier(&format!("n{number}")));
    }
    let name = format!("file:{}", directory.path().display());
    assert_eq!(
        destinations.drain(PATIENCE).await,
        [Unwritten { name, documents: 0 }]
    );
    late.tell(dossier("late"));
    let state = late.states().swap_remove(0);
    assert_eq!((state.written, state.dropped), (QUEUE as u64, 1));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), QUEUE);
}

#[tokio::test]
async fn what_a_directory_cannot_take_waits_until_it_heals() {
    let root = tempfile::tempdir().unwrap();
    let (directory, elsewhere) = (root.path().join("reports"), root.path().join("other"));
    let durability = Durability::default();
    let configs = vec![files(&directory), files(&elsewhere)];
    let destinations = Destinations::start(configs, &JSON, &durability).unwrap();
    std::fs::remove_dir(&directory).unwrap();
    std::fs::write(&directory, "in the way").unwrap();

    destinations.tell(dossier("one"));
    destinations.tell(dossier("two"));
    until(&destinations, 1, |state| state.written == 2).await;
    let state = until(&destinations, 0, |state| state.retried >= 2).await;
    assert_eq!((state.waiting, state.failed), (2, 0));
    let error = state.last_error.unwrap();
    assert!(error.starts_with("cannot write a report in "), "{error}");
    assert!(error.contains("reports: "), "{error}");
    let degraded = durability.degraded();
    assert_eq!(degraded.len(), 1, "{degraded:?}");
    assert_eq!(degraded[0].part, "reports");
    assert!(!degraded[0].why.contains('/'), "{degraded:?}");

    std::fs::remove_file(&directory).unwrap();
    let state = until(&destinations, 0, |state| state.written == 2).await;
    assert_eq!((state.waiting, state.failed), (0, 0));
    until(&destinations, 0, |state| state.last_error.is_none()).await;
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
    destinations.tell(dossier("three"));
    until(&destinations, 0, |state| state.written == 3).await;
}

#[tokio::test]
async fn of_what_waits_bundles_give_way_to_reports() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("reports");
    let config = DestinationConfig::File(file::Config::new(directory.clone()));
    let destinations = Destinations::start(vec![config], &JSON, &Durability::default()).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    std::fs::write(&directory, "in the way").unwrap();
    let incidents = QUEUE as u64 - 2;
    for number in 1..=incidents {
        destinations.tell(dossier(&format!("n{number}")));
        until(&destinations, 0, |state| state.retried >= 2 * number).await;
    }
    let state = destinations.states().swap_remove(0);
    assert_eq!((state.waiting, state.dropped), (QUEUE as u64, 0));
    assert_eq!(state.failed, 2 * incidents - QUEUE as u64);

    std::fs::remove_file(&directory).unwrap();
    until(&destinations, 0, |state| state.waiting == 0).await;
    let names = std::fs::read_dir(&directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let json = names.filter(|name| name.ends_with(".json")).count();
    assert_eq!(json as u64, incidents, "every report is there");
}

#[tokio::test]
async fn what_never_heals_has_failed_at_the_end() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("reports");
    let durability = Durability::default();
    let destinations = Destinations::start(vec![files(&directory)], &JSON, &durability).unwrap();
    std::fs::remove_dir(&directory).unwrap();
    std::fs::write(&directory, "in the way").unwrap();
    for number in 0..3 * QUEUE {
        destinations.tell(dossier(&format!("n{number}")));
        tokio::task::yield_now().await;
    }
    let states = destinations.clone();
    let left = destinations.drain(PATIENCE).await;
    assert_eq!(left[0].documents, 0);
    let state = states.states().swap_remove(0);
    assert_eq!(state.written, 0);
    assert_eq!(state.failed + state.dropped, 3 * QUEUE as u64, "{state:?}");
    assert!(state.failed >= QUEUE as u64, "{state:?}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_told_at_start() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error = Destinations::start(vec![files(&path)], &JSON, &Durability::default()).unwrap_err();
    let error = super::state::in_full(error);
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    assert!(error.contains("BLACKBOX_OUTPUT_PATH"), "{error}");
}

#[test]
fn a_config_shows_no_secret() {
    let config = http::Config::new("https://me:secret@hooks.example/token").unwrap();
    let shown = format!("{:?}", DestinationConfig::Http(config));
    assert!(
        !shown.contains("secret") && !shown.contains("token"),
        "{shown}"
    );
}
