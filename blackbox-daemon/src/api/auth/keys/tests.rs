//! Key files: what is allowed, what an error tells, and what a change does.

use std::path::Path;
use std::sync::Arc;

use super::file::{MAX_BYTES, parse};
use super::{Keys, sha256};
use crate::api::auth::Scope;

const KEY: &str = "0123456789abcdef";
/// The SHA-256 of [`KEY`], by sha256sum.
const DIGEST: &str = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";

fn one(entry: &str) -> String {
    format!(r#"{{"keys":[{entry}]}}"#)
}

fn error(text: &str) -> String {
    match parse(text.as_bytes(), Path::new("/k.json")) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_key_is_found_by_its_text_or_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let entry = |name, field, value| {
        format!(r#"{{"name":"{name}","{field}":"{value}","scopes":["read","telemetry","read"]}}"#)
    };
    let other = entry("other", "key", "another-key-of-27-chars");
    std::fs::write(
        &path,
        one(&[entry("grafana", "sha256", DIGEST), other].join(",")),
    )
    .unwrap();
    let keys = Keys::open(Some("k"), Some(path)).unwrap();
    let caller = keys.find(&sha256(KEY.as_bytes())).unwrap();
    assert_eq!(caller.name, "grafana");
    assert_eq!(caller.scopes, [Scope::Telemetry, Scope::Read]);
    assert_eq!(
        keys.find(&sha256(b"another-key-of-27-chars")).unwrap().name,
        "other"
    );
    assert_eq!(keys.find(&sha256(b"k")).unwrap().scopes, [Scope::Admin]);
    assert_eq!(keys.find(&sha256(b"")), None);
    assert_eq!(keys.find(&sha256(b"0123456789abcdeF")), None);
}

#[test]
fn a_wrong_file_is_told_by_place_and_never_by_its_keys() {
    let secret = "hunter2hunter2hunter2";
    let good = r#"{"name":"a","key":"0123456789abcdef","scopes":["read"]}"#;
    let same_name = r#"{"name":"a","key":"fedcba9876543210","scopes":["read"]}"#;
    let same_key = format!(r#"{{"name":"b","sha256":"{DIGEST}","scopes":["read"]}}"#);
    let entry = |rest: &str| one(&format!(r#"{{"name":"a",{rest}}}"#));
    let rows = [
        ("{".to_owned(), "not JSON"),
        ("[[]]".to_owned(), "a value of the wrong type"),
        (r#"{"keys":[]}"#.to_owned(), "has no keys"),
        ("{}".to_owned(), "missing field `keys`"),
        (
            r#"{"keys":[],"kyes":[]}"#.to_owned(),
            "unknown field `kyes`",
        ),
        (one(&format!("{secret:?}")), "a value of the wrong type"),
        (
            one(&format!("[\"a\",{secret:?},null,[]]")),
            "a value of the wrong type",
        ),
        (
            entry(&format!(r#""key":"{secret}","scopes":"{secret}""#)),
            "wrong type",
        ),
        (
            entry(&format!(r#""key":"{secret}","scope":["read"]"#)),
            "unknown field `scope`",
        ),
        (
            entry(&format!(r#""key":"{secret}""#)),
            "missing field `scopes`",
        ),
        (
            entry(&format!(r#""key":"{secret}","scopes":[]"#)),
            "`scopes` is empty",
        ),
        (
            entry(&format!(r#""key":"{secret}","scopes":["write"]"#)),
            "entry 1 (\"a\"): unknown scope \"write\"; allowed: telemetry, read, admin",
        ),
        (
            entry(r#""key":"hunter2","scopes":["read"]"#),
            "fewer than 16 characters",
        ),
        (
            entry(r#""key":"hunter2 hunter2 hunter2","scopes":["read"]"#),
            "visible ASCII",
        ),
        (
            entry(r#""sha256":"hunter2","scopes":["read"]"#),
            "64 hex digits",
        ),
        (
            entry(r#""scopes":["read"]"#),
            "`key` or `sha256` is required",
        ),
        (
            entry(&format!(
                r#""key":"{secret}","sha256":"{DIGEST}","scopes":["read"]"#
            )),
            "one of",
        ),
        (
            one(&[good, same_name].join(",")),
            "entry 2 (\"a\"): an earlier entry has this name",
        ),
        (
            one(&[good, &same_key].join(",")),
            "entry 2 (\"b\"): its key is the key of `a` too",
        ),
        (
            one(&good.replace("\"a\"", "\"default\"")),
            "BLACKBOX_API_KEY's",
        ),
        (one(&good.replace("\"a\"", "\"pod a/b\"")), "allowed names"),
        (one(&good.replace("\"a\"", "\"\"")), "allowed names"),
    ];
    for (text, part) in rows {
        let error = error(&text);
        assert!(error.contains(part), "{text}: {error}");
        assert!(error.contains("/k.json"), "{error}");
        assert!(
            !error.contains("hunter2") && !error.contains(DIGEST),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_missing_or_too_large_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let open = || match Keys::open(None, Some(path.clone())) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    assert!(open().contains("cannot read the key file"));
    std::fs::write(&path, vec![b' '; usize::try_from(MAX_BYTES).unwrap() + 1]).unwrap();
    assert!(open().contains("more than 1048576 bytes"));
}

/// As a kubelet does it: `keys.json` → `..data/keys.json`, `..data` → a folder, and a rename swaps `..data`.
#[test]
fn a_swapped_volume_is_read_and_a_broken_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let swap = |version: &str, text: &str| {
        let folder = root.join(version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("keys.json"), text).unwrap();
        std::os::unix::fs::symlink(&folder, root.join("..tmp")).unwrap();
        std::fs::rename(root.join("..tmp"), root.join("..data")).unwrap();
    };
    let of = |key: &str| {
        one(&format!(
            r#"{{"name":"a","key":"{key}","scopes":["read"]}}"#
        ))
    };
    swap("..1", &of("first-first-first"));
    let path = root.join("keys.json");
    std::os::unix::fs::symlink(root.join("..data/keys.json"), &path).unwrap();
    let keys = Arc::new(Keys::open(Some("k"), Some(path)).unwrap());
    let knows = |key: &str| keys.find(&sha256(key.as_bytes())).is_some();
    keys.refresh();
    assert!(knows("first-first-first") && knows("k"));
    swap("..2", &of("second-second-second"));
    keys.refresh();
    assert!(!knows("first-first-first") && knows("second-second-second") && knows("k"));
    swap("..3", "{broken");
    keys.refresh();
    assert!(knows("second-second-second") && knows("k"));
    std::fs::remove_file(root.join("..data")).unwrap();
    keys.refresh();
    assert!(knows("second-second-second"));
    swap("..4", &of("fourth-fourth-fourth"));
    keys.refresh();
    assert!(!knows("second-second-second") && knows("fourth-fourth-fourth"));
}
