//! What is made of what is kept: reports in every format, and the API's answers.

use axum::http::StatusCode;
use blackbox_daemon::record::{Event, LaneName, Record, Subject};
use blackbox_daemon::report::format::Format;
use blackbox_daemon::sources::feed::{self, BATCH};
use serde_json::{Value, json};

use crate::lab::{self, CONTAINER, Lab};
use crate::secrets::{self, Planted};
use crate::sinks;
use crate::support::{self, about, cases, main_exit, render, victim};

/// Fails with every secret that a document shows. A brief has other brackets than the rest.
fn none_shown(document: &str, planted: &[Planted], text: &str) {
    assert!(
        text.contains("hidden: "),
        "{document} has nothing of them at all"
    );
    let seen: Vec<&Planted> = planted
        .iter()
        .filter(|it| text.contains(&it.needle))
        .collect();
    println!(
        "{document}: {} of {} secrets shown",
        seen.len(),
        planted.len()
    );
    assert!(seen.is_empty(), "{document}: {seen:#?}");
}

/// What the recorder gets of these records.
fn through(records: Vec<Record>) -> Vec<Record> {
    let (feed, mut intake) = feed::feed();
    let mut kept = Vec::new();
    for batch in records.chunks(BATCH) {
        feed.offer(LaneName::Decisive, batch.to_vec());
        kept.extend(intake.decisive.try_recv().unwrap());
    }
    kept
}

#[test]
fn reports_show_no_secret_and_say_how_many_were_hidden() {
    let planted = secrets::all();
    let mut records = Vec::new();
    for (ms, planted) in (0..).zip(&planted) {
        for event in [sinks::words, sinks::exec, sinks::failed_call] {
            records.push(about(victim(), ms, event(&planted.text)));
        }
    }
    let ms = planted.len() as u64;
    records.push(about(victim(), ms, Event::Exit(main_exit(1))));
    let cases = cases(&through(records));
    assert_eq!(cases.len(), 1);
    for format in Format::ALL {
        let text = String::from_utf8(render(&cases[0], format)).unwrap();
        none_shown(format.name(), &planted, &text);
    }
    let report = support::json(&cases[0]);
    let hidden = support::number(&report["completeness"]["secrets_hidden"]);
    assert!(hidden >= 2 * planted.len() as u64, "{hidden}");
}

#[test]
fn a_report_of_a_sidecar_shows_no_secret() {
    let planted = secrets::all();
    // A few reports: each is an incident, and all are in one window.
    for planted in planted.iter().step_by(7) {
        let record = Record {
            at: support::at(0),
            subject: Subject::Pod,
            event: Event::Reported(Box::new(sinks::reported(&planted.text))),
        };
        for case in cases(&through(vec![record])) {
            for format in Format::ALL {
                let text = String::from_utf8(render(&case, format)).unwrap();
                assert!(
                    !text.contains(&planted.needle),
                    "{}: {planted:?}\n{text}",
                    format.name()
                );
            }
        }
    }
}

#[tokio::test]
async fn the_api_shows_no_secret() {
    let planted = secrets::all();
    let lab = Lab::without_directory();
    for some in planted.chunks(300) {
        let mut data = serde_json::Map::new();
        for (n, planted) in some.iter().enumerate() {
            let text = sinks::object(&planted.text);
            let value: Value = serde_json::from_str(&text).unwrap();
            data.insert(format!("k{n}"), value);
        }
        let mut telemetry = lab::telemetry(Some(CONTAINER));
        telemetry.data = json!(data).to_string();
        lab.submit(telemetry).await;
        for event in [sinks::words, sinks::failed_call] {
            let record = |planted: &Planted| {
                let process = support::process(7, "app", lab::SHOP);
                support::daemon::now(process, event(&planted.text))
            };
            lab.offer(some.iter().map(record).collect()).await;
        }
    }
    for uri in [
        "/api/v1/window?limit=10000&since=30m",
        "/api/v1/export?pod=shop-0&since=30m",
        "/api/v1/export?format=csv&pod=shop-0&since=30m",
    ] {
        let answer = lab.get(uri).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}");
        none_shown(uri, &planted, answer.text());
    }
    lab.stop().await;
}
