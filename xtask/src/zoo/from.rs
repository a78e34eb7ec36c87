//! Cases from a folder of somebody's own: `DIR/<name>/main.*` and `DIR/<name>/case.json` beside it.
//!
//! Makes the same `Case`s as the list of this repository. They are leaked: they live as long as the command.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::cases::{Case, End, Language, Need, ROOMY_MIB};

/// The file that makes a folder a case.
const FILE: &str = "case.json";

/// What `case.json` says; the fields are those of [`Case`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    expected: Vec<String>,
    end: End,
    #[serde(default)]
    top: Option<String>,
    #[serde(default)]
    in_child: bool,
    #[serde(default)]
    under_init: bool,
    #[serde(default = "nothing")]
    need: Need,
    #[serde(default = "roomy")]
    memory_mib: u64,
    pids: Option<u32>,
    files: Option<u64>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    arguments: Vec<String>,
}

fn nothing() -> Need {
    Need::Nothing
}

fn roomy() -> u64 {
    ROOMY_MIB
}

/// Every case of `folder`, by name.
///
/// # Errors
/// There is none, a `case.json` is not understood, or it has no program beside it.
pub(super) fn read(folder: &Path) -> Result<Vec<Case>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut cases = Vec::new();
    for entry in entries {
        let own = entry?.path();
        if own.join(FILE).is_file() {
            cases.push(case(&own).with_context(|| own.join(FILE).display().to_string())?);
        }
    }
    ensure!(
        !cases.is_empty(),
        "no case in {}: a case is a folder with a {FILE}",
        folder.display()
    );
    cases.sort_by_key(|case| case.name);
    Ok(cases)
}

fn case(folder: &Path) -> Result<Case> {
    let written: Written = serde_json::from_slice(&fs::read(folder.join(FILE))?)?;
    let (language, _main) = Language::find(folder)
        .context("no program beside it: main.c, main.py, Main.java or another of the README's")?;
    let right = |code: &String| code.starts_with("BBX-");
    ensure!(
        !written.expected.is_empty() && written.expected.iter().all(right),
        "expected has to be one or more codes, BBX-…"
    );
    let name = folder.file_name().and_then(|name| name.to_str());
    Ok(Case {
        name: String::leak(name.context("its folder's name is not UTF-8")?.to_owned()),
        language,
        expected: leak(written.expected),
        end: written.end,
        top: written.top.map(|function| &*function.leak()),
        in_child: written.in_child || written.under_init,
        init: written.under_init,
        need: written.need,
        memory_mib: written.memory_mib,
        pids: written.pids,
        files: written.files,
        flags: leak(written.flags),
        arguments: leak(written.arguments),
    })
}

fn leak(texts: Vec<String>) -> &'static [&'static str] {
    let texts = texts.into_iter().map(|text| &*text.leak());
    Vec::leak(texts.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the cases `(name, case.json, program)`.
    fn folder(cases: &[(&str, &str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, written, main) in cases {
            let own = folder.path().join(name);
            fs::create_dir(&own).unwrap();
            fs::write(own.join(FILE), written).unwrap();
            fs::write(own.join(main), "").unwrap();
        }
        folder
    }

    #[test]
    fn what_is_not_written_is_as_for_any_case() {
        let folder = folder(&[
            (
                "late",
                r#"{"expected": ["BBX-ABORT"], "end": {"code": 134}, "under_init": true,
                    "need": "closed-port", "memory_mib": 64, "flags": ["-O2"]}"#,
                "main.cpp",
            ),
            (
                "early",
                r#"{"expected": ["BBX-DNS"], "end": {"signal": 9}}"#,
                "main.js",
            ),
        ]);
        fs::create_dir(folder.path().join("no-case")).unwrap();
        let cases = read(folder.path()).unwrap();
        let [early, late] = &cases[..] else {
            panic!("{cases:?}");
        };
        assert_eq!((early.name, early.language), ("early", Language::Node));
        assert_eq!((early.end, early.need), (End::Signal(9), Need::Nothing));
        assert_eq!((early.memory_mib, early.in_child), (ROOMY_MIB, false));
        assert_eq!((late.language, late.end), (Language::Cpp, End::Code(134)));
        assert_eq!((late.init, late.in_child), (true, true));
        assert_eq!((late.need, late.flags), (Need::ClosedPort, &["-O2"][..]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |written, main| {
            let error = read(folder(&[("x", written, main)]).path()).unwrap_err();
            format!("{error:#}")
        };
        let right = r#"{"expected": ["BBX-DNS"], "end": {"code": 1}}"#;
        assert!(error(right, "main.cob").contains("x/case.json: no program beside it"));
        assert!(error(r#"{"end": {"code": 1}}"#, "main.c").contains("missing field `expected`"));
        let unknown = r#"{"expected": ["BBX-DNS"], "end": {"code": 1}, "memory": 64}"#;
        assert!(error(unknown, "main.c").contains("unknown field `memory`"));
        let none = r#"{"expected": [], "end": {"code": 1}}"#;
        assert!(error(none, "main.c").contains("one or more codes"));
        let empty = read(folder(&[]).path()).unwrap_err();
        assert!(empty.to_string().starts_with("no case in "), "{empty}");
    }
}
