//! Names that say of their value that it is a secret: `DB_PASSWORD`, `x-api-key`, `refreshToken`.
//!
//! The same names twice: as a pattern, for names within a text, and as a question about a whole name, for keys of JSON.

use super::Kind;

/// One of these stands in every text in which a secret has a name.
pub(super) const MARKS: &[&str] = &[
    "pass",
    "pwd",
    "credential",
    "key",
    "token",
    "secret",
    "sessi",
    "sessid",
    "connect.sid",
    "auth",
];

/// Ends of names of secrets, by kind; `weak` ones name other things too. What may stand behind them, so that they are
/// still names of secrets, is [`TAIL`].
pub(super) const NAMES: &str = r"(?P<password>pass(?:word|wd|phrase|code)|pwd|(?:[^a-z]|^)pass|credentials?)|(?P<key>api[_.-]?key|(?:access|secret|private|signing|encryption|account|auth|master|shared)[_.-]?key)|(?P<token>token|secret|authorization|session[_-]?id|sessid|connect\.sid)|(?P<weak>(?:[^a-z]|^)auth|(?:hmac|jwt|license|deploy|admin|aes|storage|client|webhook|cookie|session|app|object)[_.-]?key)";

/// `PASSWORD_2`, `SECRET_KEY_BASE`, `TOKEN_OLD`.
pub(super) const TAIL: &str =
    r"(?:[_-]?(?:[0-9]{1,2}|base|old|new|prod|production|staging|dev|test|hash|value))?";

/// What a name, whole, says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) kind: Kind,
    /// It names other things too.
    pub(super) weak: bool,
}

const PASSWORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "credential",
    "credentials",
];
const KEYS: &[&str] = &[
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "accountkey",
    "authkey",
    "masterkey",
    "sharedkey",
    "clientkeydata",
];
const TOKENS: &[&str] = &[
    "token",
    "secret",
    "authorization",
    "sessionid",
    "setcookie",
    "sessid",
    "connectsid",
];
const WEAK: &[&str] = &[
    "hmackey",
    "jwtkey",
    "licensekey",
    "deploykey",
    "adminkey",
    "aeskey",
    "storagekey",
    "clientkey",
    "webhookkey",
    "cookiekey",
    "sessionkey",
    "appkey",
    "objectkey",
];
const TAILS: &[&str] = &[
    "base",
    "old",
    "new",
    "production",
    "prod",
    "staging",
    "dev",
    "test",
    "hash",
    "value",
];

/// What a whole name says. `None`: that its value is no secret.
pub(super) fn secret_name(name: &str) -> Option<Named> {
    let bare: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let found = named(name, &bare);
    found.or_else(|| {
        let short = bare.trim_end_matches(|c: char| c.is_ascii_digit());
        let tail = TAILS.iter().find_map(|tail| short.strip_suffix(tail));
        named("", tail.unwrap_or(short))
    })
}

fn named(name: &str, bare: &str) -> Option<Named> {
    let ends = |words: &[&str]| words.iter().any(|word| bare.ends_with(word));
    let strong = |kind| Some(Named { kind, weak: false });
    let pass = || matches!(bare, "pass" | "pwd" | "dbpass" | "userpwd");
    if ends(PASSWORDS) || pass() || name.to_ascii_lowercase().ends_with("_pass") {
        strong(Kind::Password)
    } else if ends(KEYS) {
        strong(Kind::Key)
    } else if ends(TOKENS) || bare == "cookie" {
        strong(Kind::Token)
    } else if ends(WEAK) {
        Some(Named {
            kind: Kind::Key,
            weak: true,
        })
    } else if bare == "auth" {
        Some(Named {
            kind: Kind::Token,
            weak: true,
        })
    } else {
        None
    }
}
