//! Secrets that are known by their form: keys, tokens with a prefix, headers, credentials in URLs, addresses.
//!
//! Reads a text, makes the spans to hide, in order and apart; what is already hidden is in none of them. A rule hides
//! its group `s`, or its whole match.

use std::ops::Range;

use regex::{Captures, Regex, RegexSet};

use super::{Kind, Span, assignment, card, plain};

/// One form of a secret.
#[derive(Clone, Debug)]
struct Rule {
    kind: Kind,
    regex: Regex,
    /// Whether what the form found may be a secret.
    likely: fn(&str) -> bool,
}

/// All forms, those with the clearest marks first.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    forms: Vec<Rule>,
    /// Tells which of `forms` are in a text, in one pass.
    any: RegexSet,
    assignments: assignment::Assignments,
    cards: card::Cards,
    marker: Regex,
    /// The operator's.
    pub(super) own: Vec<Regex>,
}

/// What stands before a token that is not the end of a longer word; `\n` may be two characters.
const EDGE: &str = r"(?:^|[^A-Za-z0-9]|\\[nrt])";

fn always(_: &str) -> bool {
    true
}

/// A kind, its pattern, and a check of what the pattern found.
type Form = (Kind, &'static str, fn(&str) -> bool);

/// The forms; `EDGE` stands for a boundary.
const FORMS: &[Form] = &[
    // Private keys: whole, without their end, without their beginning.
    (
        Kind::Key,
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=:,. \r\n\t]|-[A-Za-z0-9]|\\+[nrt/])*(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?",
        always,
    ),
    (
        Kind::Key,
        r"(?:[A-Za-z0-9+/=\r\n]|\\+[nr]){8,}-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----",
        always,
    ),
    (Kind::Key, r"AGE-SECRET-KEY-1[A-Z0-9]{20,}", always),
    // JSON Web Tokens: RFC 7519; encrypted ones have five parts (RFC 7516).
    (
        Kind::Token,
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}",
        always,
    ),
    // Headers: RFC 9110, section 11.
    (
        Kind::Token,
        r#"(?i)authorization\\*["']?\s*(?:=>|:|=|,)\s*\\*["'\[]{0,2}(?:(?:bearer|basic|token|apikey|negotiate|ntlm)\s+)?(?P<s>[^\s"'\\,;\]]{6,})"#,
        plain::coded,
    ),
    (
        Kind::Token,
        r#"(?i)authorization\\*["']?\s*(?:=>|:|=)\s*\\*["']?(?:digest|aws4-hmac-sha256|hawk|oauth)\s(?P<s>[^\r\n]+)"#,
        always,
    ),
    (
        Kind::Token,
        r"(?i)EDGE(?:bearer|basic)(?:\s+|%20)(?P<s>[A-Za-z0-9._~+/-]{8,}=*)",
        plain::coded,
    ),
    (
        Kind::Token,
        r#"(?i)EDGE(?:set-)?cookie\\*["']?\s*(?:=>|:|=)\s*\\*["'\[]{0,2}(?P<s>[A-Za-z0-9_.%$-]+=[^\s;"'\\\]]+(?:;\s*[A-Za-z0-9_.%$-]+=[^\s;"'\\\]]*)*)"#,
        always,
    ),
    // Clouds.
    (
        Kind::Key,
        r"EDGE(?P<s>(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})(?:[^A-Za-z0-9]|$)",
        always,
    ),
    (Kind::Key, r"AIza[A-Za-z0-9_-]{30,}", always),
    (Kind::Token, r"EDGE(?P<s>ya29\.[A-Za-z0-9_.-]{10,})", always),
    (Kind::Token, r"EDGE(?P<s>1//0[A-Za-z0-9_-]{20,})", always),
    (
        Kind::Key,
        r"(?i)(?:AccountKey|SharedAccessKey|SharedSecretKey)\s*=\s*(?P<s>[A-Za-z0-9+/%]{16,}=*)",
        always,
    ),
    (
        Kind::Token,
        r"(?i)[?&;](?:sig|signature|x-amz-signature|x-amz-security-token|x-goog-signature)=(?P<s>[A-Za-z0-9%+/=_-]{16,})",
        always,
    ),
    // Vendors, by the prefix they chose so that it is found.
    (
        Kind::Token,
        r"EDGE(?P<s>(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|dt|rt|ptt|cbt|ft|soat|agent|oas|imt)-[A-Za-z0-9_.-]{16,}))",
        always,
    ),
    (
        Kind::Token,
        r"EDGE(?P<s>xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,})",
        plain::numbered,
    ),
    (
        Kind::Token,
        r"hooks\.slack\.com/(?:services|workflows)/(?P<s>[A-Za-z0-9/_-]{16,})",
        always,
    ),
    (
        Kind::Token,
        r"discord(?:app)?\.com/api/webhooks/[0-9]+/(?P<s>[A-Za-z0-9_-]{16,})",
        always,
    ),
    (
        Kind::Key,
        r"EDGE(?P<s>(?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,})",
        always,
    ),
    (
        Kind::Key,
        r"EDGE(?P<s>sk-[A-Za-z0-9_-]{20,})",
        plain::numbered,
    ),
    (
        Kind::Key,
        r"EDGE(?P<s>SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|SK[0-9a-f]{32}|key-[0-9a-f]{32}|dapi[0-9a-f]{32}|NRAK-[A-Z0-9]{20,}|PMAK-[A-Za-z0-9-]{20,}|xkeysib-[A-Za-z0-9-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}|lin_api_[A-Za-z0-9]{20,}|rubygems_[0-9a-f]{32,})",
        always,
    ),
    (
        Kind::Token,
        r"EDGE(?P<s>npm_[A-Za-z0-9]{30,}|pypi-A[A-Za-z0-9_-]{30,}|do[opr]_v1_[0-9a-f]{32,}|hv[sbr]\.[A-Za-z0-9_-]{20,}|hf_[A-Za-z]{20,}[A-Za-z0-9]*|hf_[A-Za-z0-9]{30,}|shp(?:at|ss|ca|pa)_[A-Fa-f0-9]{32}|dckr_pat_[A-Za-z0-9_-]{20,}|ATATT3[A-Za-z0-9_=-]{20,}|glsa_[A-Za-z0-9_]{20,}|sq0(?:csp|atp)-[A-Za-z0-9_-]{20,}|[0-9]{8,10}:AA[A-Za-z0-9_-]{30,})",
        always,
    ),
    // Credentials in URLs and data source names: only the secret part.
    (
        Kind::Password,
        r#"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?:\\?/){2}[^\s/:@"'<>]{0,128}:(?P<s>[^\s/?#"'<>]{1,512})@"#,
        always,
    ),
    (
        Kind::Token,
        r"https?://(?P<s>[A-Za-z0-9_-]{20,})@",
        plain::numbered,
    ),
    (
        Kind::Password,
        r#"[A-Za-z0-9_.-]{1,64}:(?P<s>[^\s:/"']{1,128})@(?:tcp|unix)\("#,
        always,
    ),
    (
        Kind::Password,
        r#"(?i)oracle:[a-z0-9]{2,8}:[^\s/@]{1,64}/(?P<s>[^\s"'@]{1,128})@"#,
        always,
    ),
    // Statements and commands that take a password without a name before it.
    (
        Kind::Password,
        r#"(?i)identified\s+(?:with\s+\S{1,64}\s+)?by\s+(?:password\s+)?\\?["'](?P<s>[^"'\r\n]{1,256})"#,
        always,
    ),
    (
        Kind::Password,
        r#"(?i)EDGEpassword\s+\\?'(?P<s>[^'\r\n]{1,256})\\?'"#,
        always,
    ),
    (
        Kind::Password,
        r"(?i)\slogin\s+\S{1,128}\s+password\s+(?P<s>\S{1,256})",
        always,
    ),
    (
        Kind::Password,
        r#"(?i)sshpass\s+-p\s*["']?(?P<s>[^\s"']{1,256})"#,
        always,
    ),
    (
        Kind::Password,
        r#"(?i)redis-cli\s[^\r\n]{0,128}?-a\s+["']?(?P<s>[^\s"']{1,256})"#,
        always,
    ),
    (
        Kind::Password,
        r#"(?i)curl\s[^\r\n]{0,256}?(?:-u|--user|--proxy-user)[\s=]+["']?[^\s:"']{1,128}:(?P<s>[^\s"']{1,256})"#,
        always,
    ),
    (
        Kind::Password,
        r#"(?i)(?:requirepass|masterauth)\s+["']?(?P<s>[^\s"']{1,256})"#,
        plain::coded,
    ),
    // Last: half of the above have an at sign.
    (
        Kind::Email,
        r"[A-Za-z0-9._%+-]{1,64}(?:@|%40)(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}",
        plain::mailbox,
    ),
];

/// Bytes a pattern may keep on each thread to search faster: each of the API's threads has all of them.
pub(super) const CACHE: usize = 128 << 10;

impl Rules {
    /// The patterns are constants, and a test builds them.
    pub(super) fn built_in() -> Self {
        let whole = |pattern: &str| pattern.replace("EDGE", EDGE);
        let build = |pattern: &str| {
            let built = regex::RegexBuilder::new(&whole(pattern))
                .size_limit(64 << 20)
                .dfa_size_limit(CACHE)
                .build();
            built.expect("a built-in pattern is a regular expression")
        };
        let forms = FORMS.iter().map(|(kind, pattern, likely)| Rule {
            kind: *kind,
            regex: build(pattern),
            likely: *likely,
        });
        let all = FORMS.iter().map(|(_, pattern, _)| whole(pattern));
        let any = regex::RegexSetBuilder::new(all)
            .size_limit(256 << 20)
            .dfa_size_limit(CACHE)
            .build();
        Self {
            forms: forms.collect(),
            any: any.expect("built-in patterns are regular expressions"),
            assignments: assignment::Assignments::new(),
            cards: card::Cards::new(),
            marker: build(r"\[hidden: (?:token|key|password|email|card)\]"),
            own: Vec::new(),
        }
    }

    /// What to hide, in order and apart.
    pub(super) fn spans(&self, text: &str) -> Vec<Span> {
        let mut found = Vec::new();
        for index in self.any.matches(text) {
            let form = &self.forms[index];
            for captures in form.regex.captures_iter(text) {
                let range = inner(&captures, "s");
                if (form.likely)(&text[range.clone()]) {
                    found.push(Span {
                        range,
                        kind: form.kind,
                    });
                }
            }
        }
        self.assignments.find(text, &mut found);
        self.cards.find(text, &mut found);
        for regex in &self.own {
            found.extend(regex.captures_iter(text).map(|captures| {
                let group = captures.get(1).or_else(|| captures.get(0));
                Span {
                    range: group.map_or(0..0, |group| group.range()),
                    kind: Kind::Token,
                }
            }));
        }
        if found.is_empty() {
            return found;
        }
        let hidden: Vec<Range<usize>> = self.marker.find_iter(text).map(|at| at.range()).collect();
        apart(found, &hidden, text)
    }
}

fn inner(captures: &Captures<'_>, group: &str) -> Range<usize> {
    let found = captures.name(group).or_else(|| captures.get(0));
    found.map_or(0..0, |found| found.range())
}

/// Joins spans that overlap, and leaves out what is hidden already. An address gives way to what it overlaps: the
/// host behind a password is no secret.
fn apart(mut found: Vec<Span>, hidden: &[Range<usize>], text: &str) -> Vec<Span> {
    found.sort_by_key(|span| (span.range.start, std::cmp::Reverse(span.range.end)));
    let (emails, found): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|span| span.kind == Kind::Email);
    let mut joined: Vec<Span> = Vec::new();
    for span in found {
        match joined.last_mut() {
            Some(last) if span.range.start < last.range.end => {
                last.range.end = last.range.end.max(span.range.end);
            }
            _ => joined.push(span),
        }
    }
    let mut free = emails;
    free.retain(|span| {
        let next = joined.partition_point(|other| other.range.end <= span.range.start);
        joined
            .get(next)
            .is_none_or(|other| other.range.start >= span.range.end)
    });
    joined.extend(free);
    joined.sort_by_key(|span| span.range.start);
    let mut made = Vec::new();
    for span in joined {
        let mut from = span.range.start;
        let first = hidden.partition_point(|marker| marker.end <= from);
        let within = hidden[first..]
            .iter()
            .take_while(|marker| marker.start < span.range.end);
        let mut parts = Vec::new();
        for marker in within {
            parts.push(from..marker.start.max(from));
            from = marker.end;
        }
        parts.push(from..span.range.end.max(from));
        let says = |part: &Range<usize>| {
            text[part.clone()]
                .bytes()
                .any(|byte| !byte.is_ascii_whitespace())
        };
        made.extend(parts.into_iter().filter(says).map(|range| Span {
            range,
            kind: span.kind,
        }));
    }
    made
}
