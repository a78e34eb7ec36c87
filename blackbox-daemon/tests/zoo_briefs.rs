//! The briefs of real deaths: within their budget by two real tokenizers, and with what a reader asks first.
//!
//! Long: `cargo xtask zoo --keep` says where its reports are; then
//! `BLACKBOX_ZOO_REPORTS=DIR cargo test -p blackbox-daemon --test zoo_briefs -- --ignored --nocapture`.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::PathBuf;

use blackbox_daemon::bundle::Bundle;
use blackbox_daemon::report::format::Format;

/// The budget of a brief, unless told otherwise.
const BUDGET: usize = 2_000;

#[test]
#[ignore = "needs the reports of the zoo; see the file's head"]
fn the_briefs_of_the_zoo_are_within_their_budget() {
    let directory = std::env::var_os("BLACKBOX_ZOO_REPORTS").expect("BLACKBOX_ZOO_REPORTS");
    let entries = fs::read_dir(PathBuf::from(directory)).expect("a directory");
    let tokenizers = [tiktoken_rs::cl100k_base(), tiktoken_rs::o200k_base()];
    let tokenizers = tokenizers.map(|tokenizer| tokenizer.expect("a vocabulary"));
    let (mut count, mut most) = (0, 0);
    for entry in entries {
        let path = entry.expect("an entry").path();
        if !path.to_string_lossy().ends_with(".tar.zst") {
            continue;
        }
        let file = BufReader::new(File::open(&path).expect("a file"));
        let report = Bundle::open(file)
            .expect("a bundle")
            .report()
            .expect("a report");
        let brief = Format::Brief.render(&report).expect("a brief");
        let brief = String::from_utf8(brief).expect("UTF-8");
        for tokenizer in &tokenizers {
            let tokens = tokenizer.encode_ordinary(&brief).len();
            assert!(tokens <= BUDGET, "{}: {tokens} tokens", path.display());
            most = most.max(tokens);
        }
        assert!(brief.contains(report.diagnosis.code.text()), "{brief}");
        count += 1;
    }
    assert!(count > 0, "no bundles there");
    eprintln!("{count} briefs, the longest of {most} tokens");
}
