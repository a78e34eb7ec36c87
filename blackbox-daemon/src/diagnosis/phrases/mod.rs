//! Which cause a line names, and how much it may be about the end. Pure text; the phrases are in `table`.

mod table;

use self::table::PHRASES;
use super::Code;

/// A line that is about something that does not matter says so.
const HARMLESS: &[&str] = &[
    "defaults",
    "using default",
    "default value",
    "optional",
    "ignor",
    "skip",
    "fallback",
    "falling back",
    "going on",
    "continuing",
    "proceeding",
    "not required",
    "recovered",
];
/// Lines of these levels are about nothing that ends a program.
/// Some loggers cut them (zerolog, logrus).
const QUIET: &[&str] = &[
    "INFO", "DEBUG", "TRACE", "NOTICE", "INF", "DEBU", "DBG", "TRAC", "TRC",
];
const QUIET_FIELDS: &[&str] = &[
    "level=info",
    "level=debug",
    "\"level\":\"info\"",
    "\"level\":\"debug\"",
    "\"severity\":\"info\"",
];
/// Lines of these may be: a program warns at each attempt and then gives up.
const WARNING: &[&str] = &["WARN", "WARNING", "WRN"];

/// The cause that a line names first.
pub(super) fn cause(line: &str) -> Option<Code> {
    causes(line).next()
}

/// The cause of a line that says only that something took too long: anything may, so it counts only where a call to a peer
/// that it names bears it out.
pub(super) fn hint(line: &str) -> Option<Code> {
    let small = line.to_lowercase();
    let slow = ["timed out", "timeout", "deadline exceeded"];
    slow.iter()
        .any(|phrase| small.contains(phrase))
        .then_some(Code::ConnTimeout)
}

/// Every cause that a line names, in the order of decision.
pub(super) fn causes(line: &str) -> impl Iterator<Item = Code> {
    let small = line.to_lowercase();
    let found = move |phrase: &str| match phrase.starts_with(|c: char| c.is_ascii_uppercase()) {
        true => has_word(line, phrase),
        false => small.contains(phrase),
    };
    let rows = PHRASES.iter();
    rows.filter(move |(_, phrases)| phrases.split('|').any(&found))
        .map(|(code, _)| *code)
}

/// How much a line may be about the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It says itself that it is not.
    Harmless,
    /// It may be, where no other line is.
    Warning,
    Error,
}

/// By its level, and by what it says of what follows.
pub(super) fn weight(line: &str) -> Weight {
    let small = line.to_lowercase();
    let quiet = QUIET.iter().any(|level| has_word(line, level));
    let any = |texts: &[&str]| texts.iter().any(|text| small.contains(text));
    if quiet || any(QUIET_FIELDS) || any(HARMLESS) {
        Weight::Harmless
    } else if WARNING.iter().any(|level| has_word(line, level)) || small.contains("level=warn") {
        Weight::Warning
    } else {
        Weight::Error
    }
}

/// Whether a line is a frame of a stack that a runtime prints: `#1 0x55…`, ` 3: 0xa5…`, `    at …`.
pub(super) fn is_frame(line: &str) -> bool {
    let bare = line.trim_start();
    let numbered = bare
        .trim_start_matches('#')
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = numbered.trim_start_matches([':', ' ']);
    let address = rest.starts_with("0x") && rest.len() < bare.len();
    address || (bare.len() < line.len() && bare.starts_with("at "))
}

/// Whether it is in the text as a word of its own.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_many_runtimes_name_their_cause() {
        for (line, code) in [
            (
                "psycopg2.OperationalError: could not translate host name \"db\" to address: Temporary failure in name resolution",
                Code::Dns,
            ),
            (
                "dial tcp: lookup db on 10.0.0.10:53: read udp 10.1.0.3:4040->10.0.0.10:53: read: connection refused",
                Code::Dns,
            ),
            (
                "dial tcp: lookup db.svc on 10.0.0.10:53: no such host",
                Code::Dns,
            ),
            (
                "Error: connect ECONNREFUSED 127.0.0.1:5432",
                Code::ConnRefused,
            ),
            (
                "java.net.ConnectException: Connection refused (Connection refused)",
                Code::ConnRefused,
            ),
            (
                "Get \"https://x\": x509: certificate has expired or is not yet valid",
                Code::Tls,
            ),
            (
                "OSError: [Errno 28] No space left on device: '/data/x'",
                Code::DiskFull,
            ),
            (
                "bind() to 0.0.0.0:80 failed (98: Address already in use)",
                Code::PortInUse,
            ),
            (
                "nginx: [emerg] unknown directive \"sever\" in /etc/nginx/nginx.conf:3",
                Code::Config,
            ),
            (
                "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory",
                Code::ThreadLimit,
            ),
            ("accept4: Too many open files", Code::FdExhausted),
            (
                "thread 'main' (7) has overflowed its stack",
                Code::StackOverflow,
            ),
            (
                "bash: /entrypoint.sh: /bin/bsh: bad interpreter: No such file or directory",
                Code::ExecFailed,
            ),
        ] {
            assert_eq!(cause(line), Some(code), "{line}");
        }
        for line in [
            "listening on :8080",
            "EIOX",
            "MY_ENOENT_COUNT=3",
            "refused to be bored",
        ] {
            assert_eq!(cause(line), None, "{line}");
        }
    }

    #[test]
    fn frames_are_no_messages() {
        for line in [
            "11: 0x195e476  [/usr/bin/node]",
            "    #0 0x55d0 in main",
            "    at Main.main(Main.java:16)",
        ] {
            assert!(is_frame(line), "{line}");
        }
        for line in [
            "FATAL ERROR: heap out of memory",
            "0x10 is no address",
            "at last",
        ] {
            assert!(!is_frame(line), "{line}");
        }
    }

    #[test]
    fn lines_say_how_much_they_matter() {
        assert_eq!(weight("INFO no a.ini (ENOENT)"), Weight::Harmless);
        assert_eq!(weight("no a.ini, using defaults"), Weight::Harmless);
        assert_eq!(
            weight("WARN attempt 3: connection refused"),
            Weight::Warning
        );
        assert_eq!(weight("FATAL connection refused"), Weight::Error);
        assert_eq!(
            weight("INFORMATION_SCHEMA: connection refused"),
            Weight::Error
        );
    }
}
