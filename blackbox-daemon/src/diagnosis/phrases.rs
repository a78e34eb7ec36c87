//! What programs say of their errors: the phrases of C libraries, runtimes and well-known libraries, by cause. Data, and how
//! a line is matched.
//!
//! The order is the order of decision: a line that names a time-out of a name lookup is about the name. Phrases are what the
//! libraries print (strerror(3), gai_strerror(3), the runtimes' own sources), never what one program prints.

use super::Code;

/// Phrases in small letters are found anywhere, whatever the case; names of errors (capitals) only as whole words.
const PHRASES: &[(Code, &[&str])] = &[
    (
        Code::Tls,
        &[
            "certificate verify failed",
            "certificate_verify_failed",
            "certificate has expired",
            "certificate is not yet valid",
            "certificate signed by unknown authority",
            "self signed certificate",
            "self-signed certificate",
            "unable to get local issuer certificate",
            "unable to verify the first certificate",
            "invalid peer certificate",
            "pkix path building failed",
            "sslhandshakeexception",
            "x509: ",
            "tls: ",
            "[ssl:",
            "ssl error",
            "ssl routines",
            "ssl handshake",
            "tls handshake",
            "tlsv1 alert",
            "wrong_version_number",
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            "SELF_SIGNED_CERT_IN_CHAIN",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "CERT_HAS_EXPIRED",
            "ERR_TLS_CERT_ALTNAME_INVALID",
            "EPROTO",
        ],
    ),
    (
        Code::Dns,
        &[
            "dial tcp: lookup",
            "name or service not known",
            "temporary failure in name resolution",
            "no address associated with hostname",
            "nodename nor servname provided",
            "name does not resolve",
            "no such host",
            "could not resolve host",
            "couldn't resolve host",
            "could not translate host name",
            "failed to lookup address information",
            "unknownhostexception",
            "getaddrinfo",
            "dns lookup failed",
            "name resolution failed",
            "host not found",
            "server misbehaving",
            "ENOTFOUND",
            "EAI_AGAIN",
            "EAI_NONAME",
        ],
    ),
    (
        Code::ThreadLimit,
        &[
            "can't start new thread",
            "unable to create native thread",
            "unable to create new native thread",
            "failed to create new os thread",
            "failed to spawn thread",
            "pthread_create failed",
            "pthread_create: resource",
            "fork: retry",
            "cannot fork",
            "can't fork",
            "fork failed",
            "fork: resource temporarily unavailable",
        ],
    ),
    (
        Code::HeapLimit,
        &[
            "outofmemoryerror",
            "outofmemoryexception",
            "javascript heap out of memory",
            "reached heap limit",
            "outofmemoryerror: java heap space",
            "outofmemoryerror: gc overhead limit exceeded",
            "outofmemoryerror: metaspace",
            "outofmemoryerror: direct buffer memory",
            "requested array size exceeds vm limit",
            "allowed memory size of",
            "heap exhausted",
        ],
    ),
    (
        Code::StackOverflow,
        &[
            "maximum recursion depth exceeded",
            "has overflowed its stack",
            "stack overflow",
            "stackoverflowerror",
            "goroutine stack exceeds",
            "maximum call stack size exceeded",
            "stack level too deep",
        ],
    ),
    (
        Code::HeapCorruption,
        &[
            "double free",
            "free(): invalid",
            "munmap_chunk(): invalid",
            "malloc(): ",
            "malloc_consolidate(): ",
            "realloc(): invalid",
            "corrupted size vs. prev_size",
            "corrupted double-linked list",
            "corrupted unsorted chunks",
            "heap-use-after-free",
            "heap-buffer-overflow",
            "heap corruption detected",
            "attempting free on address",
            "chunk is corrupted",
        ],
    ),
    (Code::Deadlock, &["all goroutines are asleep - deadlock"]),
    (Code::SegvNull, &["nil pointer dereference"]),
    (
        Code::DiskFull,
        &[
            "no space left on device",
            "disk quota exceeded",
            "database or disk is full",
            "not enough space on the disk",
            "ENOSPC",
            "EDQUOT",
        ],
    ),
    (
        Code::ReadOnly,
        &[
            "read-only file system",
            "attempt to write a readonly database",
            "EROFS",
        ],
    ),
    (
        Code::FdExhausted,
        &[
            "too many open files",
            "no file descriptors available",
            "EMFILE",
            "ENFILE",
        ],
    ),
    (
        Code::PortInUse,
        &[
            "was already in use",
            "is already in use",
            "address already in use",
            "address in use",
            "only one usage of each socket address",
            "port is already allocated",
            "EADDRINUSE",
        ],
    ),
    (
        Code::ConnRefused,
        &["connection refused", "actively refused", "ECONNREFUSED"],
    ),
    (
        Code::Unreachable,
        &[
            "no route to host",
            "network is unreachable",
            "host is unreachable",
            "EHOSTUNREACH",
            "ENETUNREACH",
        ],
    ),
    (
        Code::ConnTimeout,
        &[
            "timeouterror",
            "sockettimeoutexception",
            "read timed out",
            "request timed out",
            "connection timed out",
            "connect timed out",
            "connect timeout",
            "connection timeout",
            "connecttimeout",
            "operation timed out",
            "dial tcp: i/o timeout",
            "i/o timeout",
            "ETIMEDOUT",
            "UND_ERR_CONNECT_TIMEOUT",
        ],
    ),
    (
        Code::Auth,
        &[
            "error 401",
            "http 401",
            "status 401",
            "status code 401",
            "status=401",
            "403 forbidden",
            "error 403",
            "password authentication failed",
            "authentication failed",
            "access denied for user",
            "invalid password",
            "wrongpass",
            "noauth authentication required",
            "401 unauthorized",
            "invalid credentials",
        ],
    ),
    (
        Code::ConnReset,
        &[
            "connection reset by peer",
            "socket hang up",
            "server closed the connection unexpectedly",
            "ECONNRESET",
        ],
    ),
    (
        Code::ExecFailed,
        &[
            "symbol lookup error",
            "exec format error",
            "command not found",
            "executable file not found",
            "bad interpreter",
            "cannot execute",
            "ENOEXEC",
        ],
    ),
    (
        Code::Permission,
        &[
            "permission denied",
            "operation not permitted",
            "access is denied",
            "EACCES",
            "EPERM",
        ],
    ),
    (
        Code::MissingFile,
        &[
            "no such file or directory",
            "cannot open shared object file",
            "nosuchfileexception",
            "filenotfoundexception",
            "cannot find module",
            "modulenotfounderror",
            "cannot load such file",
            "ENOENT",
            "ERR_MODULE_NOT_FOUND",
        ],
    ),
    (
        Code::AllocFailed,
        &[
            "cannot allocate memory",
            "bad_alloc",
            "memory allocation of",
            "MemoryError",
            "ENOMEM",
        ],
    ),
    (Code::IoError, &["input/output error", "EIO"]),
    // EAGAIN: of a call that starts a thread or a process. Of others, programs say nothing.
    (Code::ThreadLimit, &["resource temporarily unavailable"]),
    (
        Code::Uncaught,
        &[
            "uncaughtexception",
            "uncaught exception",
            "unhandledrejection",
            "unhandled rejection",
            "unhandled exception",
        ],
    ),
    (
        Code::Config,
        &[
            "unrecognized argument",
            "unrecognized option",
            "unrecognized flag",
            "unknown option",
            "unknown flag",
            "unknown argument",
            "unexpected argument",
            "invalid option",
            "illegal option",
            "bad option",
            "flag provided but not defined",
            "following arguments are required",
            "following required arguments were not provided",
            "missing required",
            "required environment variable",
            "environment variable is not set",
            "environment variable not found",
            "must be set",
            "is required but",
            "is not set",
            "are not set",
            "is not specified",
            "failed to configure",
            "application failed to start",
            "invalid configuration",
            "invalid config",
            "configuration error",
            "config error",
            "error in configuration",
            "configuration file",
            "bad configuration",
            "unknown directive",
            "unknown key",
            "unknown field",
            "invalid value for",
            "invalid value '",
            "yaml.scanner.",
            "yaml.parser.",
            "error parsing yaml",
            "yaml: line",
            "tomldecodeerror",
            "toml parse error",
            "configparser.",
            "configuration property",
            "could not resolve placeholder",
            "[emerg]",
        ],
    ),
];

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
const QUIET: &[&str] = &["INFO", "DEBUG", "TRACE", "NOTICE"];
const QUIET_FIELDS: &[&str] = &[
    "level=info",
    "level=debug",
    "\"level\":\"info\"",
    "\"level\":\"debug\"",
    "\"severity\":\"info\"",
];
/// Lines of these may be: a program warns at each attempt and then gives up.
const WARNING: &[&str] = &["WARN", "WARNING"];

/// The cause that a line names.
pub(super) fn cause(line: &str) -> Option<Code> {
    let small = line.to_lowercase();
    let found = |phrase: &&str| match phrase.starts_with(|c: char| c.is_ascii_uppercase()) {
        true => has_word(line, phrase),
        false => small.contains(*phrase),
    };
    let mut rows = PHRASES.iter();
    let row = rows.find(|(_, phrases)| phrases.iter().any(found));
    row.map(|(code, _)| *code)
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
