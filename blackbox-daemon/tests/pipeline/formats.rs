//! Reports made from records, in the formats for people and models: briefs counted with real vocabularies, pages read with a real
//! parser of Markdown, and the json held against the published schema.

#[path = "../../src/report/format/tests/corpus.rs"]
mod corpus;
#[path = "../../src/report/format/tests/strict.rs"]
mod strict;
#[path = "../../src/report/format/tests/structure.rs"]
mod structure;

use std::path::Path;

use blackbox_daemon::record::{
    Comm, Event, Exec, Health, Process, Record, SourceName, Stream, Subject, Telemetry, Words,
};
use blackbox_daemon::report::format::{Format, Options};
use blackbox_daemon::report::{LogLine, LogTail, Report, build::build};
use serde_json::{Value, json};
use tiktoken_rs::{cl100k_base_singleton, o200k_base_singleton};

use super::deaths;
use super::pods::{APP, UID, app, ended, facts, id, out_of_memory, pod, reported, says};
use super::support::{SETTLE, about, config, core, failed_call, noted, source, take, wall};
use corpus::hostile;
use structure::{blocks_and_links, structure};

/// Smallest, default and large.
const BUDGETS: [u32; 3] = [256, Options::BRIEF_TOKENS, 8_000];

fn markdown(report: &Report) -> String {
    let page = Format::Markdown
        .render(report)
        .expect("every report renders");
    String::from_utf8(page).expect("pages are UTF-8")
}

fn brief(report: &Report, brief_tokens: u32) -> String {
    let brief = Format::Brief.render_with(report, Options { brief_tokens });
    String::from_utf8(brief.expect("every report renders")).expect("briefs are UTF-8")
}

/// By the vocabulary that makes more of it.
fn tokens(text: &str) -> usize {
    let one = cl100k_base_singleton().encode_ordinary(text).len();
    one.max(o200k_base_singleton().encode_ordinary(text).len())
}

/// Each brief's tokens, none more than allowed.
fn counted(report: &Report) -> [usize; 3] {
    BUDGETS.map(|budget| {
        let page = brief(report, budget);
        let tokens = tokens(&page);
        assert!(tokens <= budget as usize, "{tokens} > {budget}\n{page}");
        tokens
    })
}

fn published() -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read(root.join("../docs/report.schema.json"));
    serde_json::from_slice(&schema.expect("the schema")).expect("the schema is JSON")
}

/// A pod's container that runs out of memory, and everything that others say of it: `text`.
fn spoken(text: &str) -> Vec<Report> {
    let said = |text: &str| text.to_owned();
    let process = Process {
        comm: Comm::from_text(text),
        ..app()
    };
    let mut facts = facts();
    facts.containers[0].image = Some(said(text));
    facts.owners[0].name = said(text);
    let path = format!("/kubepods/burstable/pod{UID}/{}", id(APP));
    let words = Words {
        stream: Stream::Stderr,
        text: said(text),
        bytes: text.len() as u64,
        cut: 0,
        hidden: 0,
    };
    let mut call = failed_call(process, 800, 2);
    if let Event::FailedCall(call) = &mut call.event {
        call.argument = Some(said(text));
    }
    let mut incident = reported(900);
    let Event::Reported(report) = &mut incident.event else {
        unreachable!("it is a reported incident");
    };
    (report.id, report.kind, report.message) = (said(text), said(text), said(text));
    report.tags = vec![(said(text), said(text))];
    report.context = json!({ text: text }).to_string();
    let telemetry = Telemetry {
        entry: 1,
        pod: facts.pod.clone(),
        container_id: None,
        runtime: said(text),
        submission: report.submission.clone(),
        tags: vec![(said(text), said(text))],
        data: json!({ text: [text] }).to_string(),
    };
    let mut end = ended(1_500, 137, text, 0);
    if let Event::ContainerEnded(end) = &mut end.event {
        end.message = Some(said(text));
    }
    let renamed = out_of_memory(1_000).into_iter().map(|mut record| {
        record.subject = Subject::Process(process);
        record
    });
    let exec = Exec {
        parent: process,
        exe: said(text),
    };
    let mut records = vec![
        source(0, SourceName::Kube, Health::Ok),
        source(1, SourceName::Procfs, Health::Failed(said(text))),
        noted(Subject::Cgroup(APP), 1, Event::CgroupCreated { path }),
        pod(2, facts),
        about(process, 10, Event::Exec(exec)),
        call,
        about(process, 850, Event::Words(Box::new(words))),
        noted(Subject::Pod, 880, Event::Telemetry(Box::new(telemetry))),
        incident,
        says(950, "Unhealthy", text),
    ];
    records.extend(renamed);
    records.push(end);
    reports(&records, text)
}

/// The reports about these records, each with a log that says `text`.
fn reports(records: &[Record], text: &str) -> Vec<Report> {
    let mut core = core(config());
    let now = take(&mut core, records);
    let line = LogLine {
        timestamp: None,
        stream: text.to_owned(),
        text: text.to_owned(),
    };
    let log = LogTail {
        path: text.to_owned(),
        bytes: 1,
        skipped_bytes: 0,
        sha256: String::new(),
        hidden: 0,
        lines: vec![line; 2],
    };
    let cases = core.turn(now.plus(SETTLE * 10), wall(), false).into_iter();
    let cases = cases.map(|mut case| {
        case.log = Some(Ok(log.clone()));
        build(&case)
    });
    cases.collect()
}

#[test]
fn every_death_is_as_the_schema_says_and_its_brief_keeps_the_budget() {
    let open = jsonschema::draft202012::new(&published()).unwrap();
    let exact = jsonschema::draft202012::new(&strict::strict(published())).unwrap();
    let mut most = [0; 3];
    let reports = deaths::all()
        .into_iter()
        .map(|death| build(&deaths::case_of(&death)));
    for report in reports.chain(spoken("Some Text")) {
        let value = json!(report);
        let errors: Vec<String> = open
            .iter_errors(&value)
            .chain(exact.iter_errors(&value))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0]);
        let tokens = counted(&report);
        most = std::array::from_fn(|index| most[index].max(tokens[index]));
        let titles = structure(&markdown(&report));
        let of_level = |level: &str| titles.iter().filter(|it| it.contains(level)).count();
        assert!(of_level("level: H1") == 1 && of_level("level: H2") >= 3);
    }
    // They say something, and so much is always left.
    assert!(most[1] > 600 && most[1] < 1_900, "{most:?}");
}

#[test]
fn no_record_changes_more_than_words() {
    let exact = jsonschema::draft202012::new(&strict::strict(published())).unwrap();
    let harmless = spoken("Some Text");
    let pages: Vec<_> = harmless.iter().map(|it| structure(&markdown(it))).collect();
    let briefs: Vec<_> = harmless.iter().map(|it| brief(it, 32_768)).collect();
    assert_eq!(pages.len(), 2, "the death, and what was reported");
    for told in ["stderr of Some Text: Some Text", "openat ENOENT Some Text"] {
        assert!(
            briefs.iter().any(|brief| brief.contains(told)),
            "{briefs:?}"
        );
    }
    let mut most = [0; 3];
    for evil in hostile() {
        let reports = spoken(&evil);
        assert_eq!(reports.len(), 2, "{evil:.200}");
        for (report, page) in reports.iter().zip(&pages) {
            assert!(exact.is_valid(&json!(report)), "{evil:.200}");
            let tokens = counted(report);
            most = std::array::from_fn(|index| most[index].max(tokens[index]));
            let hostile = markdown(report);
            assert_eq!(&structure(&hostile), page, "{evil:.200}\n{hostile:.4000}");
        }
        // Short, so that every line has room.
        let evil: String = evil.chars().take(100).collect();
        for (report, honest) in spoken(&evil).iter().zip(&briefs) {
            let hostile = brief(report, 32_768);
            let (found, wanted) = (blocks_and_links(&hostile), blocks_and_links(honest));
            assert_eq!(found, wanted, "{evil}\n{hostile:.4000}");
        }
    }
    // A bound that nothing comes near would be worth little.
    assert!(most[1] > 1_200, "{most:?}");
}
