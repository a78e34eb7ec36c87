//! Tokens that begin as their vendor chose, so that they are found: `ghp_…`, `AKIA…`, `xoxb-…`.
//!
//! Reads a place in a text at which a beginning stands; makes the span of the token, if what follows is of its alphabet
//! and long enough. No regular expression: a table, and a look at the bytes behind it.

use super::{Kind, Span, plain};

/// Characters a token is made of, behind its beginning.
#[derive(Clone, Copy, Debug)]
enum Of {
    Alnum,
    /// `A-Z`, `0-9`.
    Upper,
    /// `0-9`, `a-f`, in either case.
    Hex,
    /// Letters, digits, `_` and `-`: base64 as in URLs.
    Word,
    /// Those, and `.`, `=`, `+`, `/`, `%`.
    Any,
}

impl Of {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Word => byte.is_ascii_alphanumeric() || b"_-".contains(&byte),
            Self::Any => byte.is_ascii_alphanumeric() || b"_-.=+/%".contains(&byte),
        }
    }
}

/// How long it is behind its beginning.
#[derive(Clone, Copy, Debug)]
enum Long {
    AtLeast(usize),
    Exactly(usize),
}
use Long::{AtLeast, Exactly};
use Of::{Alnum, Any, Hex, Upper, Word};

/// Beginnings of one vendor, and what follows them.
pub(super) struct Vendor {
    pub(super) begins: &'static [&'static str],
    kind: Kind,
    of: Of,
    long: Long,
    /// Whether what follows may be a secret.
    likely: fn(&str) -> bool,
}

const fn vendor(begins: &'static [&'static str], kind: Kind, of: Of, long: Long) -> Vendor {
    Vendor {
        begins,
        kind,
        of,
        long,
        likely: |_| true,
    }
}

const fn likely(vendor: Vendor, likely: fn(&str) -> bool) -> Vendor {
    Vendor { likely, ..vendor }
}

/// The vendors.
pub(super) const VENDORS: &[Vendor] = &[
    // GitHub, GitLab.
    vendor(
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        Kind::Token,
        Alnum,
        AtLeast(20),
    ),
    vendor(&["github_pat_"], Kind::Token, Word, AtLeast(20)),
    vendor(
        &[
            "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glft-", "glsoat-", "glagent-",
            "gloas-", "glimt-",
        ],
        Kind::Token,
        Any,
        AtLeast(16),
    ),
    // Amazon, Google.
    vendor(
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        Kind::Key,
        Upper,
        Exactly(16),
    ),
    vendor(&["AIza"], Kind::Key, Word, AtLeast(30)),
    vendor(&["ya29."], Kind::Token, Any, AtLeast(10)),
    vendor(&["1//0"], Kind::Token, Word, AtLeast(20)),
    vendor(&["GOCSPX-"], Kind::Key, Word, AtLeast(20)),
    // Slack.
    likely(
        vendor(
            &[
                "xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-",
                "xapp-",
            ],
            Kind::Token,
            Any,
            AtLeast(10),
        ),
        plain::numbered,
    ),
    // Payments.
    vendor(
        &[
            "sk_live_", "sk_test_", "sk_prod_", "rk_live_", "rk_test_", "rk_prod_",
        ],
        Kind::Key,
        Alnum,
        AtLeast(10),
    ),
    vendor(&["whsec_"], Kind::Key, Any, AtLeast(16)),
    vendor(&["sq0csp-", "sq0atp-"], Kind::Token, Word, AtLeast(20)),
    vendor(
        &["shpat_", "shpss_", "shpca_", "shppa_"],
        Kind::Token,
        Hex,
        AtLeast(32),
    ),
    // Models.
    likely(
        vendor(&["sk-"], Kind::Key, Word, AtLeast(20)),
        plain::numbered,
    ),
    likely(
        vendor(&["hf_", "gsk_", "r8_"], Kind::Token, Alnum, AtLeast(24)),
        plain::coded,
    ),
    // Mail.
    likely(vendor(&["SG."], Kind::Key, Any, AtLeast(33)), two_parts),
    vendor(&["SK", "key-", "dapi"], Kind::Key, Hex, Exactly(32)),
    vendor(&["xkeysib-", "PMAK-"], Kind::Key, Word, AtLeast(20)),
    // Registries of packages and images.
    vendor(&["npm_"], Kind::Token, Alnum, AtLeast(30)),
    vendor(&["pypi-A"], Kind::Token, Word, AtLeast(30)),
    vendor(&["rubygems_"], Kind::Key, Hex, AtLeast(32)),
    vendor(&["dckr_pat_"], Kind::Token, Word, AtLeast(20)),
    // Others.
    vendor(&["AGE-SECRET-KEY-1"], Kind::Key, Upper, AtLeast(20)),
    vendor(&["NRAK-"], Kind::Key, Upper, AtLeast(20)),
    vendor(
        &["lin_api_", "dop_v1_", "doo_v1_", "dor_v1_"],
        Kind::Key,
        Alnum,
        AtLeast(20),
    ),
    vendor(&["hvs.", "hvb.", "hvr."], Kind::Token, Word, AtLeast(20)),
    vendor(&["ATATT3"], Kind::Token, Any, AtLeast(20)),
    vendor(
        &["glsa_", "sntrys_", "sntryu_"],
        Kind::Token,
        Any,
        AtLeast(20),
    ),
    vendor(
        &["tskey-", "figd_", "pscale_tkn_", "pscale_pw_"],
        Kind::Token,
        Word,
        AtLeast(20),
    ),
];

/// The token of `vendor` whose beginning stands at `start` and is `begins` bytes long.
pub(super) fn token(text: &str, vendor: &Vendor, start: usize, begins: usize) -> Option<Span> {
    let bytes = text.as_bytes();
    let body = start + begins;
    if !edge(bytes, start) || !vendor.begins.contains(&&text[start..body]) {
        return None;
    }
    let run = bytes[body..].iter().take_while(|b| vendor.of.has(**b));
    let length = run.count();
    let end = body + length;
    let fits = match vendor.long {
        AtLeast(least) => length >= least,
        Exactly(exactly) => {
            length == exactly && !bytes.get(end).is_some_and(u8::is_ascii_alphanumeric)
        }
    };
    (fits && (vendor.likely)(&text[body..end])).then_some(Span {
        range: start..end,
        kind: vendor.kind,
    })
}

/// Whether what begins at `at` is not the end of a longer word. What stands for one character (`\n`, `%3D`,
/// `\u003d`) may stand before it.
fn edge(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[..at];
    match before.last() {
        Some(last) if last.is_ascii_alphanumeric() => {}
        _ => return true,
    }
    let hex = |from: usize| {
        before[before.len() - from..]
            .iter()
            .all(u8::is_ascii_hexdigit)
    };
    let stands =
        |from: usize, sign: u8| before.len() >= from && before[before.len() - from] == sign;
    (stands(2, b'\\') && before.ends_with(b"n"))
        || (stands(2, b'\\') && (before.ends_with(b"r") || before.ends_with(b"t")))
        || (stands(3, b'%') && hex(2))
        || (stands(6, b'\\') && before[before.len() - 5] == b'u' && hex(4))
}

/// `<id>.<secret>`.
fn two_parts(body: &str) -> bool {
    let mut parts = body.split('.');
    let long = |part: Option<&str>| part.is_some_and(|part| part.len() >= 16);
    long(parts.next()) && long(parts.next())
}
