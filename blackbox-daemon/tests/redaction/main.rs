//! Secrets are hidden before anything is kept: more than 500 planted ones, and more than 5,000 harmless texts, through
//! everything that keeps a text from outside, and through everything that is made of what is kept.
//!
//! Every planted secret is hidden, everywhere; of the harmless texts, one in a hundred at most is changed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends here")]
#![expect(clippy::print_stdout, reason = "how many were hidden is worth a line")]

mod dice;
mod harmless;
#[path = "../api_reads/lab.rs"]
#[allow(dead_code, reason = "a part of it is needed here")]
mod lab;
mod outputs;
mod secrets;
mod sinks;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use blackbox_daemon::metrics::Metrics;
use blackbox_daemon::record::{LaneName, Record, Subject};
use blackbox_daemon::redact::Redactor;
use blackbox_daemon::report::NodeInfo;
use blackbox_daemon::sources::feed;
use secrets::Planted;

/// Fails with every secret that is still there.
fn none_left(sink: &str, planted: &[Planted], kept: &[String]) {
    assert_eq!(planted.len(), kept.len(), "{sink}");
    let seen: Vec<String> = planted
        .iter()
        .zip(kept)
        .filter(|(planted, kept)| kept.contains(&planted.needle))
        .map(|(planted, kept)| {
            format!(
                "{}: {:?} is kept as {kept:?}",
                planted.carrier, planted.text
            )
        })
        .collect();
    println!(
        "{sink}: {} of {} secrets hidden",
        planted.len() - seen.len(),
        planted.len()
    );
    assert!(
        seen.is_empty(),
        "{sink}: {} left\n{}",
        seen.len(),
        seen.join("\n")
    );
}

/// Fails when more than one in a hundred was changed.
fn few_changed(sink: &str, before: &[String], after: &[String]) {
    assert_eq!(before.len(), after.len(), "{sink}");
    let changed: Vec<(&String, &String)> =
        before.iter().zip(after).filter(|(b, a)| b != a).collect();
    println!(
        "{sink}: {} of {} harmless texts changed",
        changed.len(),
        before.len()
    );
    let mut kinds: BTreeMap<String, (usize, &str)> = BTreeMap::new();
    for (before, after) in &changed {
        let kind: String = before
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .take(24)
            .collect();
        kinds.entry(kind).or_insert((0, after)).0 += 1;
    }
    for (count, after) in kinds.values() {
        println!("  {count} x {after}");
    }
    assert!(
        changed.len() * 100 <= before.len(),
        "{sink}: more than one in a hundred"
    );
}

fn texts(planted: &[Planted]) -> Vec<&str> {
    planted.iter().map(|planted| &*planted.text).collect()
}

#[test]
fn the_corpus_is_large_and_each_text_has_its_secret() {
    let (planted, harmless) = (secrets::all(), harmless::all());
    let mut carriers: BTreeMap<&str, usize> = BTreeMap::new();
    for planted in &planted {
        assert!(planted.text.contains(&planted.needle), "{planted:?}");
        assert!(planted.needle.len() >= 9, "{planted:?}");
        *carriers.entry(planted.carrier).or_default() += 1;
    }
    println!(
        "{} secrets: {carriers:?}; {} harmless texts",
        planted.len(),
        harmless.len()
    );
    assert!(planted.len() >= 500 && harmless.len() >= 5_000);
}

#[test]
fn what_goes_to_the_recorder_has_no_secret() {
    let (planted, harmless) = (secrets::all(), harmless::all());
    let harmless: Vec<&str> = harmless.iter().map(|text| &**text).collect();
    for (sink, event) in sinks::FED {
        let shown = |event: &_| format!("{event:?}");
        let kept = sinks::fed(&texts(&planted), *event);
        none_left(sink, &planted, &kept.iter().map(shown).collect::<Vec<_>>());
        let before: Vec<String> = harmless.iter().map(|text| shown(&event(text))).collect();
        let after: Vec<String> = sinks::fed(&harmless, *event).iter().map(shown).collect();
        few_changed(sink, &before, &after);
    }
}

#[tokio::test]
async fn what_sidecars_submit_has_no_secret() {
    let planted = secrets::all();
    let (measured, told) = sinks::submitted(&texts(&planted)).await;
    let shown: Vec<String> = measured.iter().map(|one| format!("{one:?}")).collect();
    none_left("telemetry", &planted, &shown);
    for (id, reported) in &told {
        assert_eq!(id, &reported.id, "what is answered is what is kept");
    }
    let shown: Vec<String> = told.iter().map(|one| format!("{one:?}")).collect();
    none_left("reported incidents", &planted, &shown);
    let harmless = harmless::all();
    let harmless: Vec<&str> = harmless.iter().map(|text| &**text).collect();
    let (measured, told) = sinks::submitted(&harmless).await;
    let text = |one: &_| format!("{one:?}");
    let before: Vec<String> = harmless
        .iter()
        .map(|it| text(&sinks::telemetry(it).data))
        .collect();
    few_changed(
        "telemetry data",
        &before,
        &measured.iter().map(|it| text(&it.data)).collect::<Vec<_>>(),
    );
    let before: Vec<String> = harmless.iter().map(|it| (*it).to_owned()).collect();
    few_changed(
        "reported ids",
        &before,
        &told.into_iter().map(|(id, _)| id).collect::<Vec<_>>(),
    );
}

#[test]
fn logs_have_no_secret() {
    let (planted, harmless) = (secrets::all(), harmless::all());
    let redactor = Redactor::default();
    none_left(
        "logs",
        &planted,
        &sinks::logged(&texts(&planted), &redactor),
    );
    let hidden: u64 = redactor.counts().iter().map(|(_, count)| count).sum();
    assert!(hidden >= planted.len() as u64, "{hidden} were counted");
    for (kind, count) in redactor.counts() {
        println!("  {}: {count}", kind.name());
    }
    let texts: Vec<&str> = harmless.iter().map(|text| &**text).collect();
    few_changed("logs", &harmless, &sinks::logged(&texts, &redactor));
}

#[test]
fn hiding_twice_is_hiding_once() {
    let redactor = Redactor::default();
    for planted in secrets::all() {
        let once = redactor.text(&planted.text).text.into_owned();
        assert_eq!(redactor.text(&once).text, once);
    }
}

#[test]
fn patterns_of_ones_own_are_hidden_in_every_record() {
    let own = Redactor::new(&["EMP-[0-9]{6}".to_owned()]).unwrap();
    let (feed, mut intake) = feed::feed();
    let feed = feed.redacting(own.clone());
    for (_, event) in sinks::FED {
        let record = Record {
            at: support::at(0),
            subject: Subject::Node,
            event: event("badge EMP-104412 was refused"),
        };
        feed.offer(LaneName::Decisive, vec![record]);
        let kept = format!("{:?}", intake.decisive.try_recv().unwrap());
        assert!(
            !kept.contains("104412") && kept.contains("badge [hidden: token] was"),
            "{kept}"
        );
    }
    let metrics = Metrics::new(NodeInfo::default(), Path::new("/proc")).unwrap();
    metrics.read_redactor(own.clone());
    let sample = format!(
        "blackbox_redacted_total{{kind=\"token\"}} {}\n",
        sinks::FED.len()
    );
    assert!(metrics.text().unwrap().contains(&sample));
    assert_eq!(
        own.counts()[0].1,
        sinks::FED.len() as u64,
        "each was counted"
    );
}
