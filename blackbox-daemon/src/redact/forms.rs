//! Secrets that a pattern knows by their form: private keys, JSON Web Tokens, headers, credentials in URLs, commands
//! and statements, addresses.
//!
//! The table is all there is here. A form is tried only on a text that has one of its marks, in any case of letters;
//! what it hides is its first group that matched, or its whole match. `EDGE` stands for what may stand before a word.
//! Patterns are of bytes: classes of all characters, repeated, take megabytes. Where one ends, an ASCII character stands.

use super::{Kind, plain};

/// One form of a secret.
pub(super) struct Form {
    pub(super) kind: Kind,
    /// One of these stands in every text that has it.
    pub(super) marks: &'static [&'static str],
    pub(super) pattern: &'static str,
    /// Whether what the pattern found may be a secret.
    pub(super) likely: fn(&str) -> bool,
}

const fn form(kind: Kind, marks: &'static [&'static str], pattern: &'static str) -> Form {
    Form {
        kind,
        marks,
        pattern,
        likely: |_| true,
    }
}

const fn likely(form: Form, likely: fn(&str) -> bool) -> Form {
    Form { likely, ..form }
}

/// What stands before a word that is not the end of a longer one; `\n` may be two characters.
pub(super) const EDGE: &str = r"(?:^|[^A-Za-z0-9]|\\[nrt])";

const URL: &[&str] = &["://", r":\/\/"];

/// The forms.
pub(super) const FORMS: &[Form] = &[
    // Private keys: whole, without their end, without their beginning; and base64 of one, as kubeconfigs have them.
    form(
        Kind::Key,
        &["private key"],
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=:,. \r\n\t]|-[A-Za-z0-9]|\\+[nrt/])*(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    form(
        Kind::Key,
        &["private key"],
        r"(?:[A-Za-z0-9+/=\r\n]|\\+[nr]){8,}-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----",
    ),
    form(
        Kind::Key,
        &["client-key-data"],
        r#"client-key-data\\*["']?\s*:\s*\\*["']?(?P<s>[A-Za-z0-9+/]{16,}=*)"#,
    ),
    // JSON Web Tokens: RFC 7519; encrypted ones have five parts (RFC 7516).
    form(
        Kind::Token,
        &["eyJ"],
        r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,3}",
    ),
    // Headers: RFC 9110, section 11.
    likely(
        form(
            Kind::Token,
            &["authorization"],
            r#"(?i)authorization\\*["']?\s*(?:=>|:|=|,)\s*\\*["'\[]{0,2}(?:(?:bearer|basic|token|apikey|negotiate|ntlm)\s+)?(?P<s>[^\s"'\\,;\]]{6,})"#,
        ),
        plain::coded,
    ),
    form(
        Kind::Token,
        &["authorization"],
        r#"(?i)authorization\\*["']?\s*(?:=>|:|=)\s*\\*["']?(?:digest|aws4-hmac-sha256|hawk|oauth)\s(?P<s>[^\r\n]+)"#,
    ),
    likely(
        form(
            Kind::Token,
            &["bearer", "basic"],
            r"(?i)EDGE(?:bearer|basic)(?:\s+|%20)(?P<s>[A-Za-z0-9._~+/-]{8,}=*)",
        ),
        plain::coded,
    ),
    form(
        Kind::Token,
        &["cookie"],
        r#"(?i)EDGE(?:set-)?cookie\\*["']?\s*(?:=>|:|=)\s*\\*["'\[]{0,2}(?P<s>[A-Za-z0-9_.%$-]+=[^\s;"'\\\]]+(?:;\s*[A-Za-z0-9_.%$-]+=[^\s;"'\\\]]*)*)"#,
    ),
    // Clouds and web hooks.
    form(
        Kind::Key,
        &["accountkey", "sharedaccesskey", "sharedsecretkey"],
        r"(?i)(?:AccountKey|SharedAccessKey|SharedSecretKey)\s*=\s*(?P<s>[A-Za-z0-9+/%]{16,}=*)",
    ),
    form(
        Kind::Token,
        &["sig=", "signature=", "security-token="],
        r"(?i)(?:^|[?&;])(?:sig|signature|x-amz-signature|x-amz-security-token|x-goog-signature|sharedaccesssignature=.*?&sig)=(?P<s>[A-Za-z0-9%+/=_-]{16,})",
    ),
    form(
        Kind::Token,
        &["hooks.slack.com", "webhook"],
        r"(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks/[0-9]+)/(?P<s>[A-Za-z0-9/_-]{16,})",
    ),
    form(
        Kind::Token,
        &[":AA"],
        r"EDGE(?P<s>[0-9]{8,10}:AA[A-Za-z0-9_-]{30,})",
    ),
    // Credentials in URLs and data source names: only the secret part.
    likely(
        form(
            Kind::Password,
            URL,
            r#"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?:\\?/){2}[^\s/:@"'<>]*:(?:(?P<s>[^\s/"'<>]+)|(?P<t>[^\s"'<>]+?))@"#,
        ),
        plain::no_port,
    ),
    likely(
        form(Kind::Token, URL, r"https?://(?P<s>[A-Za-z0-9_-]{20,})@"),
        plain::numbered,
    ),
    form(
        Kind::Password,
        &["@tcp(", "@unix("],
        r#"[A-Za-z0-9_.-]{1,64}:(?P<s>[^\s:/"']+)@(?:tcp|unix)\("#,
    ),
    form(
        Kind::Password,
        &["oracle:"],
        r#"(?i)oracle:[a-z0-9]{2,8}:[^\s/@]{1,64}/(?P<s>[^\s"'@]+)@"#,
    ),
    // Statements and commands that take a password without a name before it.
    form(
        Kind::Password,
        &["identified"],
        r#"(?i)identified\s+(?:with\s+\S{1,64}\s+)?by\s+(?:password\s+)?\\?["'](?P<s>[^"'\r\n]+)"#,
    ),
    form(
        Kind::Password,
        &["password"],
        r#"(?i)EDGEpassword\s+\\?'(?P<s>[^'\r\n]+)\\?'"#,
    ),
    form(
        Kind::Password,
        &["login"],
        r"(?i)\slogin\s+\S+\s+password\s+(?P<s>\S+)",
    ),
    form(
        Kind::Password,
        &["sshpass"],
        r#"(?i)sshpass\s+-p\s*["']?(?P<s>[^\s"']+)"#,
    ),
    form(
        Kind::Password,
        &["redis-cli"],
        r#"(?i)redis-cli\s[^\r\n]*?-a\s+["']?(?P<s>[^\s"']+)"#,
    ),
    form(
        Kind::Password,
        &["curl", "wget"],
        r#"(?i)(?:curl|wget)\s[^\r\n]*?(?:-u|--user|--proxy-user)[\s=]*["']?[^\s:"']+:(?P<s>[^\s"']+)"#,
    ),
    form(
        Kind::Password,
        &["mysql", "mariadb"],
        r#"(?:mysql|mariadb)[a-z]*\s(?:[^\r\n]*?\s)?-p["']?(?P<s>[^\s"'-][^\s"']*)"#,
    ),
    form(
        Kind::Password,
        &["login", "ldap", "mongo"],
        r#"(?:(?:docker|podman|helm|az|oc)\s[a-z ]{0,16}login|mongo[a-z]*)\s[^\r\n]*?\s?-p\s+["']?(?P<s>[^\s"']+)|ldap[a-z]+\s[^\r\n]*?-w\s+["']?(?P<t>[^\s"']+)"#,
    ),
    likely(
        form(
            Kind::Password,
            &["-p="],
            r#"(?:^|[\s"'])-p=["']?(?P<s>[^\s"']{4,256})"#,
        ),
        plain::word_with_digits,
    ),
    form(
        Kind::Password,
        &["pass:"],
        r#"-pass(?:in|out)?\s+["']?pass:(?P<s>[^\s"']+)"#,
    ),
    likely(
        form(
            Kind::Password,
            &["requirepass", "masterauth"],
            r#"(?i)(?:requirepass|masterauth)\s+["']?(?P<s>[^\s"']+)"#,
        ),
        plain::coded,
    ),
    // Last: half of the above have an at sign.
    likely(
        form(
            Kind::Email,
            &["@", "%40"],
            r"[A-Za-z0-9._%+-]{1,64}(?:@|%40)(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}",
        ),
        plain::mailbox,
    ),
];
