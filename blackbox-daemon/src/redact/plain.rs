//! Whether what stands where a secret may stand looks like one. Pure, on short texts.

/// Words that stand behind `password:` or `token=` and are none.
const WORDS: &[&str] = &[
    "null",
    "none",
    "nil",
    "true",
    "false",
    "undefined",
    "redacted",
    "masked",
    "hidden",
    "empty",
    "unset",
    "required",
    "optional",
    "expired",
    "invalid",
    "missing",
    "not",
    "yes",
    "no",
    "unknown",
    "n/a",
    "string",
    "str",
    "incorrect",
    "wrong",
    "failed",
    "denied",
    "rejected",
    "accepted",
    "ok",
    "valid",
    "revoked",
    "present",
    "set",
    "changed",
    "rotated",
    "is",
    "was",
    "must",
    "flag",
    "option",
    "and",
    "or",
    "the",
    "to",
    "for",
    "from",
    "has",
    "cannot",
    "needs",
    "requires",
    "in",
    "with",
    "bearer",
    "basic",
    "file",
    "enabled",
    "disabled",
    "error",
    "mismatch",
    "some",
    "value",
    "authentication",
    "does",
    "are",
    "of",
    "on",
    "at",
    "may",
    "should",
    "can",
    "will",
    "a",
    "an",
];

/// A word that says something about a secret, or stands for it.
pub(super) fn stands_for(value: &str) -> bool {
    let trimmed = value.trim_matches(|c: char| ".,:;!?()[]".contains(c));
    let filler = !value.bytes().any(|b| b.is_ascii_alphanumeric()) && value.len() < 16 && {
        let mut bytes = value.bytes();
        let first = bytes.next();
        value.is_empty() || bytes.all(|b| Some(b) == first) || value == "{}"
    };
    let crossed = value.len() > 2 && value.bytes().all(|b| matches!(b, b'x' | b'X' | b'*'));
    let variable = |open: &str, close: &str| {
        value.starts_with(open)
            && value.ends_with(close)
            && value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"${}()_.- %".contains(&b))
    };
    filler
        || crossed
        || WORDS.iter().any(|word| trimmed.eq_ignore_ascii_case(word))
        || variable("${", "}")
        || variable("$(", ")")
        || variable("{{", "}}")
        || value.starts_with("{{")
        || value.strip_prefix('$').is_some_and(|rest| {
            rest.len() > 2 && rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        })
        || matches!(value, "%s" | "%v" | "%q" | "%d" | "{}")
}

/// A path of lower-case names.
pub(super) fn path(value: &str) -> bool {
    value.starts_with('/')
        && value.matches('/').count() > 1
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-".contains(&b))
}

/// Has what words have not: digits, signs, capitals within.
pub(super) fn coded(value: &str) -> bool {
    let odd = |b: u8| b.is_ascii_digit() || b"!@#$%^&*+=".contains(&b) || b >= 0x80;
    let bytes = value.as_bytes();
    let within = bytes
        .windows(2)
        .any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
    bytes.iter().any(|b| odd(*b))
        || within
        || (value.len() >= 24 && !value.contains(['-', '_', '.']))
}

/// Long enough for a secret, and no word.
pub(super) fn coded_word(value: &str) -> bool {
    value.len() >= 8 && coded(value) && !value.contains(' ')
}

/// Digits and letters, not a number, a port or a size.
pub(super) fn word_with_digits(value: &str) -> bool {
    numbered(value) && value.bytes().filter(u8::is_ascii_alphabetic).count() >= 3
}

/// Behind `//host:` there may be a port and a path, and an `@` in that.
pub(super) fn no_port(value: &str) -> bool {
    let (first, path) = value.split_once('/').unwrap_or((value, ""));
    path.is_empty() && !value.ends_with('/') || !first.bytes().all(|b| b.is_ascii_digit())
}

/// Has digits.
pub(super) fn numbered(value: &str) -> bool {
    value.bytes().any(|b| b.is_ascii_digit())
}

/// An e-mail address, and not a unit of systemd, a package or a name within the cluster.
pub(super) fn mailbox(value: &str) -> bool {
    const OTHERS: &[&str] = &[
        "service", "socket", "slice", "scope", "mount", "timer", "target", "device", "local",
        "internal", "svc", "js", "mjs", "ts", "py", "rb", "go", "so", "jar", "tgz", "gz", "png",
        "svg", "css", "conf", "json", "yaml", "yml", "x", "rs", "java",
    ];
    let last = value.rsplit('.').next().unwrap_or_default();
    let name = value.split(['@', '%']).next().unwrap_or_default();
    name != "git" && !OTHERS.iter().any(|other| last.eq_ignore_ascii_case(other))
}
