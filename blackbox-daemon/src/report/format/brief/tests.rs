//! Briefs, counted with the real vocabularies and read with a real parser of Markdown.

use std::sync::OnceLock;

use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use tiktoken_rs::{cl100k_base_singleton, o200k_base_singleton};

use super::Section;
use crate::report::Report;
use crate::report::format::quote::is_hidden;
use crate::report::format::tests::{blocks_and_links, hostile, poison, sample_report};

fn brief(report: &Report, budget: usize) -> String {
    let mut out = Vec::new();
    super::write(&mut out, report, budget).unwrap();
    String::from_utf8(out).unwrap()
}

/// Tokens by the vocabulary that has more.
pub(super) fn tokens(text: &str) -> usize {
    let one = cl100k_base_singleton().encode_ordinary(text).len();
    one.max(o200k_base_singleton().encode_ordinary(text).len())
}

/// Only our own lines start with anything but `> `. Returns the tokens it has.
fn check(page: &str, budget: usize) -> usize {
    let tokens = tokens(page);
    assert!(tokens <= budget, "{tokens} > {budget}\n{page}");
    assert!(
        page.starts_with(super::NOTICE) && page.ends_with(".)\n"),
        "{page}"
    );
    let headings: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
    let known = Section::ALL.map(Section::heading);
    assert!(headings.iter().all(|line| known.contains(line)), "{page}");
    let mut once = headings.clone();
    once.dedup();
    assert_eq!(once, headings);
    let ours = ["> ", "- ", "## ", "At 20", "BBX-", "("];
    let grades = ["proven (", "likely (", "unknown ("];
    for line in page.lines().skip(1) {
        let mut starts = ours.iter().chain(&grades);
        assert!(starts.any(|start| line.starts_with(start)), "{line}");
        let rest = line.strip_prefix("> ").unwrap_or(line);
        assert!(!rest.contains(['<', '>', '`']), "{line}");
        assert!(
            !rest.contains("[INST") && !rest.contains("[/INST"),
            "{line}"
        );
        assert!(rest.chars().all(|c| !is_hidden(c)), "{line}");
    }
    assert!(!page.contains("\n\n"), "{page}");
    tokens
}

/// Ids in brackets, which only citations of ours are.
fn cited(page: &str) -> Vec<&str> {
    let ids = page
        .split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']'));
    let mut ids: Vec<&str> = ids.flat_map(|(ids, _)| ids.split(", ")).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn a_brief_in_full() {
    let page = brief(&sample_report(), 2000);
    check(&page, 2000);
    let (_, body) = page.split_once('\n').unwrap();
    assert_eq!(
        body,
        "## Verdict\n\
         proven (memory_limit): java (4711) reached its memory limit of 512 MiB\n\
         At 2026-03-04 05:06:07 UTC, pod prod/shop, container 3f2a91b0c4d5, node node-1, incident oom-1\n\
         - proven: the kernel's OOM killer sent SIGKILL [r12, r14]\n\
         - unknown: what had grown is not recorded\n\
         ## Diagnosis\n\
         BBX-OOM-LIMIT (proven): its memory cgroup reached its limit of 512 MiB\n\
         - proven: the OOM killer chose java (4711) [r14]\n\
         - first difference: after exec /usr/bin/shop this run had openat /etc/shop.yaml → ENOENT [r12]\n\
         - memory: container 3f2a91b0c4d5 used 512.0 MiB of 512.0 MiB, its limit was hit; 500.0 ms before the kill \
         500.0 MiB: anon 480.0 MiB, file 16.0 MiB, shmem 0 B, kernel 4.0 MiB; java (pid 4711) 490.0 MiB (victim, at the \
         kill); sh (pid 4700) 1.0 MiB (3.0 ms after the kill) [r12, r14]\n\
         ## Evidence\n\
         > [r14] 05:06:07.891 the OOM killer chose java (4711)\n\
         > [r12] used 96.0 MiB of memory, requests 32.0 MiB: pod prod/hog\n\
         ## Failed calls\n\
         > 41x connect ECONNREFUSED 10.0.3.7:5432\n\
         ## Threads at the end\n\
         > [r15] 3 threads, one of them worker (4713): waiting in futex(0x7f10, 0x80, 0x2)\n\
         ## Last calls\n\
         > [r11] 05:06:07.700 java: connect 10.0.3.7:5432 → ECONNREFUSED × 41, longest 1.2 ms\n\
         ## Last words\n\
         > [r13] stderr of java: allocating\n\
         ## Stack\n\
         > frame 0: Heap::grow(unsigned long)+0x1c at heap.cc:17 in /usr/bin/shop\n\
         > frame 1: 0x7f0000001234\n\
         > note: the stack ends here: an address is in no file that was found\n\
         ## Log\n\
         > log stderr: allocating\n\
         ## Earlier ends\n\
         > 2026-03-04 05:01:00 died of SIGKILL, chosen by the OOM killer OOMKilled\n\
         ## What may be missing\n\
         - complete: nothing that could change the verdict was lost\n\
         - lost: 2 failed_call (throttled)\n\
         - note: the clock was set at 05:05:30\n\
         - source kube disabled: no API server\n\
         ## Look at next\n\
         - try: Compare the limit with what it needs: raise the limit, or find what grows (the memory samples show how fast).\n\
         - read: docs/causes/BBX-OOM-LIMIT.md\n\
         - run: kubectl -n prod describe pod shop\n\
         - run: kubectl -n prod logs --previous shop\n\
         (0 lines had no room; the json has all.)\n"
    );
}

#[test]
fn the_smallest_brief_has_verdict_and_diagnosis() {
    let page = brief(&sample_report(), 256);
    check(&page, 256);
    assert!(
        page.contains("## Verdict\n") && page.contains("BBX-OOM-LIMIT (proven)"),
        "{page}"
    );
}

#[test]
fn hostile_text_changes_words_only() {
    let mut harmless = sample_report();
    poison(&mut harmless, "Some Text");
    let honest = brief(&harmless, 32_768);
    for evil in hostile() {
        // Short, so that every line has room.
        let evil: String = evil.chars().take(100).collect();
        let mut report = sample_report();
        poison(&mut report, &evil);
        let page = brief(&report, 32_768);
        check(&page, 32_768);
        assert!(page.contains("\n(0 lines had no room"), "{page}");
        assert_eq!(
            blocks_and_links(&page),
            blocks_and_links(&honest),
            "{evil}\n{page:.2000}"
        );
        assert_eq!(cited(&page), cited(&honest), "{page:.2000}");
        assert!(!page.contains("kubectl"), "{page}");
        assert!(!page.contains("://"), "{page}");
    }
}

/// Reports in which one text is everywhere, many times over: at each budget no more real tokens than allowed.
#[test]
fn the_budget_is_kept_whatever_the_text() {
    let mut most = [0; 3];
    for evil in hostile() {
        let report = full_of(&evil, 20);
        for (most, budget) in most.iter_mut().zip([256, 2000, 8000]) {
            *most = check(&brief(&report, budget), budget).max(*most);
        }
    }
    // A bound that nothing comes near would be worth little.
    assert!(most[1] > 1500 && most[2] > 6000, "{most:?}");
}

/// What a brief is for: English sentences fill two fifths of the budget at least.
#[test]
fn ordinary_text_uses_the_budget() {
    let text = "could not connect to the database at 10.0.3.7:5432: connection refused, giving up after 5 attempts";
    let used = check(&brief(&full_of(text, 60), 2000), 2000);
    assert!(used > 2000 * 2 / 5, "{used}");
}

fn full_of(text: &str, rows: usize) -> Report {
    let mut report = sample_report();
    poison(&mut report, text);
    report.last_words = vec![report.last_words[0].clone(); rows];
    report.evidence = vec![report.evidence[0].clone(); rows];
    report.diagnosis.facts = vec![report.diagnosis.facts[0].clone(); rows];
    if let Some(log) = &mut report.log {
        log.lines = vec![log.lines[0].clone(); rows];
    }
    report
}

pub(super) fn noise() -> impl Strategy<Value = String> {
    static HOSTILE: OnceLock<Vec<String>> = OnceLock::new();
    let short = || {
        hostile()
            .into_iter()
            .filter(|text| text.len() < 400)
            .collect()
    };
    let piece = prop_oneof![
        any::<String>(),
        "[a-z ]{0,200}",
        "[A-Za-z']{0,60}",
        "[0-9a-f]{0,300}",
        "[A-Za-z0-9+/]{0,300}={0,2}",
        "[ \t\n]{0,9}[-=_#|.]{0,9}",
        "[\u{4e00}-\u{9fff}\u{3040}-\u{30ff}]{0,80}",
        "[\u{1f300}-\u{1faff}\u{200d}\u{fe0f}]{0,60}",
        prop::sample::select(HOSTILE.get_or_init(short).as_slice()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_budget_is_kept(text in noise(), rows in 1_usize..40, budget in 256_usize..4000) {
        check(&brief(&full_of(&text, rows), budget), budget);
    }
}
