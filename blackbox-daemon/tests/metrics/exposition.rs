//! A strict reader of the text format 0.0.4: what Prometheus would forgive, it does not.

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// One family: its type and its samples, by sample name and labels.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
}

/// A scrape.
#[derive(Debug, Default)]
pub(crate) struct Scrape(pub(crate) BTreeMap<String, Family>);

impl Scrape {
    /// Reads a page. Each family must have one HELP and one TYPE before its samples, all together; no sample may
    /// come twice.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut scrape = Self::default();
        let mut help = None;
        let mut current: Option<String> = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, words) = rest.split_once(' ').expect("help in words");
                assert!(!words.trim().is_empty(), "no help: {line}");
                help = Some(name.to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(help.take().as_deref(), Some(name), "HELP before TYPE");
                let kinds = ["counter", "gauge", "histogram", "summary"];
                assert!(kinds.contains(&kind), "{line}");
                let family = Family {
                    kind: kind.to_owned(),
                    ..Family::default()
                };
                let twice = scrape.0.insert(name.to_owned(), family);
                assert!(twice.is_none(), "{name} comes twice");
                current = Some(name.to_owned());
            } else {
                let of = current.as_deref().expect("a TYPE before samples");
                scrape.take(of, line);
            }
        }
        for (name, family) in &scrape.0 {
            assert!(!family.samples.is_empty(), "{name} has no sample");
        }
        scrape
    }

    fn take(&mut self, of: &str, line: &str) {
        let (name, labels, value) = sample(line);
        let family = self.0.get_mut(of).expect("its family");
        let ending = name
            .strip_prefix(of)
            .expect("samples of one family together");
        match family.kind.as_str() {
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&ending), "{line}"),
            "summary" => assert!(["_sum", "_count"].contains(&ending), "{line}"),
            _ => assert_eq!(ending, "", "{line}"),
        }
        if family.kind != "gauge" {
            assert!(value >= 0.0, "{line}");
        }
        let twice = family.samples.insert((name, labels), value);
        assert!(twice.is_none(), "twice: {line}");
    }

    /// The value of the one sample with these labels, others not counted.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let family = self.0.get(name)?;
        let has = |all: &Labels| {
            let has = |(key, value): &(&str, &str)| all.get(*key).is_some_and(|v| v == value);
            labels.iter().all(has)
        };
        let mut found = family.samples.iter().filter(|((_, all), _)| has(all));
        let (_, value) = found.next()?;
        assert!(
            found.next().is_none(),
            "{name} {labels:?} is not one sample"
        );
        Some(*value)
    }

    /// Every value a label of a family has.
    pub(crate) fn values_of(&self, name: &str, label: &str) -> BTreeSet<String> {
        let samples = self.0.get(name).into_iter().flat_map(|f| f.samples.keys());
        samples
            .filter_map(|(_, labels)| labels.get(label).cloned())
            .collect()
    }

    /// The names samples can be asked for by.
    pub(crate) fn sample_names(&self) -> BTreeSet<String> {
        let families = self.0.values();
        families
            .flat_map(|family| family.samples.keys().map(|(name, _)| name.clone()))
            .collect()
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> (String, Labels, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, rest)) = series.split_once('{') else {
        return (series.to_owned(), Labels::new(), value);
    };
    let mut rest = rest.strip_suffix('}').expect("closed labels");
    let mut labels = Labels::new();
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("a closed value") {
                (at, '"') => break at,
                (_, '\\') => match characters.next().expect("an escape").1 {
                    'n' => text.push('\n'),
                    other => text.push(other),
                },
                (_, other) => text.push(other),
            }
        };
        let twice = labels.insert(key.to_owned(), text);
        assert!(twice.is_none(), "label {key} twice: {line}");
        rest = after[end + 1..].trim_start_matches(',');
    }
    assert!(rest.is_empty(), "{line}");
    (name.to_owned(), labels, value)
}
