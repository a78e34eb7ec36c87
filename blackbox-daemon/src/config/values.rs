//! From text to values, each with an error that says what is allowed. Formats as v1 (Go) reads them.

use std::time::Duration;

use crate::destinations::DestinationConfig;
use crate::journal::{self, layout::PAGE};
use crate::report::format::Format;
use crate::words;

/// A set of formats, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formats(pub Vec<Format>);

/// A set of errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errnos(pub Vec<u16>);

/// Go's `time.ParseDuration`, without a sign.
pub fn duration(text: &str) -> Result<Duration, String> {
    match saturating_duration(text)? {
        Duration::MAX => Err(DURATION.to_owned()),
        duration => Ok(duration),
    }
}

const DURATION: &str = "allowed: a Go duration such as 500ms, 60s, 1m30s or 1.5h";

/// The same; one that is too long to be counted is the longest that can be.
pub fn saturating_duration(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = DURATION;
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(ALLOWED.to_owned());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or(ALLOWED)?;
        let value: f64 = rest[..digits].parse().ok().ok_or(ALLOWED)?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let scale = match &rest[..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(ALLOWED.to_owned()),
        };
        seconds += value * scale;
        rest = &rest[unit..];
    }
    // What is negative or no number was not taken above.
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// A duration above zero, at most a day.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("allowed: a duration above zero".to_owned()),
        long if long > Duration::from_secs(86_400) => {
            Err("allowed: a duration of at most 24h".to_owned())
        }
        duration => Ok(duration),
    }
}

/// Go's `strconv.ParseBool`.
pub fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(
            "allowed: true or false (also 1, t, T, TRUE, True, 0, f, F, FALSE, False)".to_owned(),
        ),
    }
}

/// A number of bytes, with or without a unit.
pub fn byte_size(text: &str) -> Result<u64, String> {
    const ALLOWED: &str = "allowed: a number of bytes, or one with KiB, MiB or GiB, such as 32MiB";
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let value: u64 = text[..digits].parse().ok().ok_or(ALLOWED)?;
    let scale = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(ALLOWED.to_owned()),
    };
    value.checked_mul(scale).ok_or_else(|| ALLOWED.to_owned())
}

/// Memory or disk for records and reports.
pub fn window_bytes(text: &str) -> Result<u64, String> {
    match byte_size(text)? {
        size if (1 << 20..=1 << 40).contains(&size) => Ok(size),
        _ => Err("allowed: 1MiB to 1024GiB".to_owned()),
    }
}

/// The size of window.ring: whole pages.
pub fn journal_bytes(text: &str) -> Result<u64, String> {
    let size = byte_size(text)?;
    let fits = (journal::LEAST..=4 << 30).contains(&size) && size.is_multiple_of(PAGE);
    fits.then_some(size)
        .ok_or_else(|| "allowed: 4MiB to 4GiB, a multiple of 4KiB".to_owned())
}

/// Disk for reports when there is no other: none, or whole blocks for at least one brief.
pub fn reserve_bytes(text: &str) -> Result<u64, String> {
    match byte_size(text)? {
        0 => Ok(0),
        size if (64 << 10..=16 << 20).contains(&size) => Ok(size.next_multiple_of(4096)),
        _ => Err("allowed: 64KiB to 16MiB, or 0 for none".to_owned()),
    }
}

/// The size of a ring: the kernel wants a power of two of at least a page.
pub fn ring_bytes(text: &str) -> Result<u32, String> {
    const ALLOWED: &str = "allowed: a power of two from 64KiB to 1GiB, such as 16MiB";
    let size = byte_size(text)?;
    match u32::try_from(size) {
        Ok(size) if size.is_power_of_two() && (1 << 16..=1 << 30).contains(&size) => Ok(size),
        _ => Err(ALLOWED.to_owned()),
    }
}

/// Formats, comma between.
pub fn formats(text: &str) -> Result<Formats, String> {
    let mut formats = Vec::new();
    for name in text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let format = Format::parse(name).map_err(|error| error.to_string())?;
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    match formats.is_empty() {
        true => {
            let names = Format::ALL.map(Format::name).join(", ");
            Err(format!("allowed: at least one of {names}"))
        }
        false => Ok(Formats(formats)),
    }
}

/// One format.
pub fn format(text: &str) -> Result<Format, String> {
    Format::parse(text).map_err(|error| error.to_string())
}

/// Errors by name or number, comma between; nothing at all means none.
pub fn errnos(text: &str) -> Result<Errnos, String> {
    let parse = |name: &str| {
        words::errno_number(name).ok_or_else(|| {
            format!("{name:?} is no error; allowed: names such as EAGAIN, or 1 to 255")
        })
    };
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(parse).collect::<Result<Vec<_>, _>>().map(Errnos)
}

/// A directory, `stdout`, or a URL.
pub fn destination(text: &str) -> Result<DestinationConfig, String> {
    const ALLOWED: &str = "allowed: a directory, stdout, or an http(s) URL";
    let text = text.trim();
    let url = text.starts_with("http://") || text.starts_with("https://");
    match text.is_empty() || (text.contains("://") && !url) {
        true => Err(ALLOWED.to_owned()),
        false => DestinationConfig::parse(text).map_err(|error| format!("{error}; {ALLOWED}")),
    }
}

/// An http(s) URL.
pub fn http_url(text: &str) -> Result<DestinationConfig, String> {
    match destination(text)? {
        http @ DestinationConfig::Http(_) => Ok(http),
        _ => Err("allowed: a URL that begins with http:// or https://".to_owned()),
    }
}

/// Text that is not empty.
pub fn non_empty(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("allowed: anything but nothing".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// The key in the manifests, which everybody knows.
pub const PLACEHOLDER_KEY: &str = "CHANGE-ME";

/// The API's key: one that only its clients know.
pub fn api_key(text: &str) -> Result<String, String> {
    match text.trim() {
        PLACEHOLDER_KEY => Err(
            "that is the placeholder of the manifests: put a key of your own in its place (in Kubernetes, into the \
             Secret blackbox-daemon-config)"
                .to_owned(),
        ),
        _ => non_empty(text),
    }
}

/// The path of a URL.
pub fn url_path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains(char::is_whitespace) {
        true => Ok(text.to_owned()),
        false => Err("allowed: a path that begins with /".to_owned()),
    }
}

/// A cgroup path with `*`.
pub fn cgroup_pattern(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.starts_with('/') && text.len() > 1 {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err("allowed: a cgroup path such as /system.slice/nginx.service".to_owned()),
    }
}

/// How much of a log is kept: any size up to 1 MiB.
///
/// # Errors
/// It is no size, or too large: with what is allowed.
pub fn tail_bytes(text: &str) -> Result<u64, String> {
    let size = byte_size(text)?;
    match size <= 1 << 20 {
        true => Ok(size),
        false => Err("allowed: at most 1MiB; 0 for none".to_owned()),
    }
}

/// Characters that Kubernetes allows in names of pods and namespaces, with `*` for any and one `/` between the two.
///
/// # Errors
/// It is empty, or has other characters: with what is allowed.
pub fn pod_pattern(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.*/".contains(c);
    let good = !text.is_empty() && text.chars().all(fits) && text.matches('/').count() <= 1;
    match good {
        true => Ok(text.to_owned()),
        false => Err("allowed: names such as web-*, kube-system or shop/web-1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, millis) in [
            ("60s", 60_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1.5h", 5_400_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "60", "s", "1 minute", "-1s", "1e400h", "1.2.3s"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(positive_duration("0s").is_err());
        let ages = format!("{}h", "9".repeat(400));
        assert!(duration(&ages).is_err());
        assert_eq!(saturating_duration(&ages), Ok(Duration::MAX));
    }

    #[test]
    fn sizes() {
        assert_eq!(byte_size("32MiB"), Ok(32 << 20));
        assert_eq!(byte_size("1048576"), Ok(1 << 20));
        assert!(byte_size("32MB").is_err());
        assert_eq!(reserve_bytes("0"), Ok(0));
        assert_eq!(reserve_bytes("65537"), Ok(68 << 10));
        assert!(reserve_bytes("63KiB").is_err() && reserve_bytes("17MiB").is_err());
        assert!(ring_bytes("12MiB").is_err());
        assert_eq!(ring_bytes("16MiB"), Ok(16 << 20));
    }

    #[test]
    fn the_key_everybody_knows_is_none() {
        assert_eq!(api_key("0f3a"), Ok("0f3a".to_owned()));
        assert!(api_key(" ").is_err());
        // A Secret made with `echo` has a line end.
        for key in [PLACEHOLDER_KEY, "CHANGE-ME\n"] {
            assert!(api_key(key).unwrap_err().contains("placeholder"), "{key}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(formats(" JSON , default,json").map(|f| f.0.len()), Ok(2));
        assert!(formats(" , ").is_err());
        assert!(formats("xml").unwrap_err().contains("json"));
        assert_eq!(errnos("EAGAIN, 4"), Ok(Errnos(vec![11, 4])));
        assert_eq!(errnos(""), Ok(Errnos(vec![])));
        assert!(errnos("EWHAT").is_err());
    }

    #[test]
    fn destinations() {
        assert!(matches!(
            destination("stdout"),
            Ok(DestinationConfig::Stdout)
        ));
        assert!(matches!(
            destination("https://a/b"),
            Ok(DestinationConfig::Http(_))
        ));
        assert!(destination("ftp://a").is_err());
        assert!(destination("").is_err());
    }
}
