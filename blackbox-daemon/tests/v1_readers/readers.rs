//! Readers of v1, one per format, as strict as they were.

use super::*;

/// What v1 knows of an entry in every format.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// `YYYY-MM-DDTHH:MM:SS.mmm`
    pub(super) time: String,
    pub(super) name: String,
    pub(super) value: String,
}

/// Text as the `default` format shows it: nothing that moves a cursor, a line or a direction.
pub(super) fn shown(text: &str) -> String {
    let shown = |c: char| match c {
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A point in time as v1 wrote it, by the digits alone: `#` stands for one.
pub(super) fn assert_like(text: &str, pattern: &str) {
    let like = |(c, p): (char, char)| if p == '#' { c.is_ascii_digit() } else { c == p };
    assert_eq!(text.len(), pattern.len(), "{text}");
    assert!(
        text.chars().zip(pattern.chars()).all(like),
        "{text} is not {pattern}"
    );
}

/// Reads the `default` format as v1's line readers do: header keys, one empty line, entries.
pub(super) fn read_default(page: &str) -> (BTreeMap<String, String>, Vec<Row>) {
    assert!(page.ends_with('\n') && !page.contains('\r'));
    let mut lines = page.strip_suffix('\n').unwrap_or(page).split('\n');
    assert_eq!(lines.next(), Some("=== INCIDENT REPORT ==="));
    let mut header = BTreeMap::new();
    let mut order = Vec::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (key, value) = line.split_once(": ").expect("KEY: value");
        assert!(key.chars().all(|c| c.is_ascii_uppercase()), "{line}");
        order.push(key);
        // A v1 reader takes the first of a key; ours repeat only keys v1 never had.
        header.entry(key.to_owned()).or_insert(value.to_owned());
    }
    assert_eq!(
        order[..5],
        ["ID", "TIMESTAMP", "SEVERITY", "TYPE", "MESSAGE"]
    );
    for key in ["ID", "TIMESTAMP", "SEVERITY", "TYPE", "MESSAGE", "POD"] {
        let times = order.iter().filter(|other| **other == key).count();
        assert_eq!(times, usize::from(key != "POD"), "{key}");
    }
    assert_eq!(lines.next(), Some("=== TELEMETRY DATA ==="));
    let rows = lines.map(|line| {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [time, name, value] = parts[..] else {
            panic!("not three columns: {line}");
        };
        assert_like(time, "####-##-## : ##:##:##.###");
        Row {
            time: time.replace(" : ", "T"),
            name: name.replace("\\|", "|"),
            value: value.replace("\\|", "|"),
        }
    });
    (header, rows.collect())
}

pub(super) const SOURCES: [&str; 2] = ["system", "sidecar"];
pub(super) const TYPES: [&str; 8] = [
    "cpu",
    "memory",
    "network",
    "disk",
    "process",
    "runtime",
    "application",
    "custom",
];

/// One entry as v1's JSON readers see it.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Entry {
    pub(super) timestamp: Timestamp,
    pub(super) source: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) tags: BTreeMap<String, String>,
    #[serde(rename = "metadata")]
    pub(super) _metadata: BTreeMap<String, Value>,
}

impl Entry {
    pub(super) fn plain(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub(super) fn time(&self) -> String {
        self.timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3f").to_string()
    }
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) timestamp: Timestamp,
    pub(super) severity: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) message: String,
}

/// A report as v1's JSON readers see it.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Document {
    pub(super) incident: Incident,
    pub(super) telemetry: Vec<Entry>,
    #[serde(rename = "generated_at")]
    pub(super) _generated_at: Timestamp,
}

pub(super) fn read_json(bytes: &[u8]) -> Document {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    assert!(
        text.starts_with("{\n  \"") && text.ends_with("\n}\n"),
        "two spaces"
    );
    let document: Document = serde_json::from_str(text).expect("v1's keys");
    for entry in &document.telemetry {
        assert!(SOURCES.contains(&entry.source.as_str()), "{entry:?}");
        assert!(TYPES.contains(&entry.kind.as_str()), "{entry:?}");
    }
    document
}

/// Reads the `csv` format; checks the header to the letter and that tags are quoted.
pub(super) fn read_csv(bytes: &[u8]) -> Vec<csv::StringRecord> {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let (header, _) = text.split_once('\n').expect("a header");
    assert_eq!(header, "timestamp,source,type,name,value,tags,incident_id");
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(bytes);
    let rows: Vec<_> = reader
        .records()
        .collect::<Result<_, _>>()
        .expect("RFC 4180");
    for row in &rows {
        assert_like(&row[0], "####-##-##T##:##:##.###Z");
        let tags = format!(",\"{}\",{}\n", row[5].replace('"', "\"\""), &row[6]);
        assert!(text.contains(&tags), "tags are always quoted: {tags}");
    }
    rows
}

/// The tags of a row, percent-decoded, in the order they are in.
pub(super) fn tags(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        text.replace("%3B", ";")
            .replace("%3D", "=")
            .replace("%25", "%")
    };
    text.split(';')
        .filter(|tag| !tag.is_empty())
        .map(|tag| {
            let (key, value) = tag.split_once('=').expect("k=v");
            (decode(key), decode(value))
        })
        .collect()
}
