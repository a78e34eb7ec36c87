//! The daemon's metrics, rounded down to whole numbers.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::http::Client;

/// Every series: the metric with its labels in braces, and its value.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(BTreeMap<String, u64>);

/// Reads them from the daemon's `port` on this machine.
///
/// # Errors
/// It does not answer.
pub(super) fn read(port: u16) -> Result<Counts> {
    let (status, text) = Client::connect(port)?.ask("GET", "/metrics", "")?;
    ensure!(status == 200, "metrics are answered with {status}");
    Ok(Counts(keyed(&text)))
}

/// Lines of a name and a number that is not negative, as the kernel writes them too; others are left out.
pub(super) fn keyed(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.lines().filter_map(|line| line.rsplit_once(' '));
    let number = |value: &str| value.parse().ok().filter(|value: &f64| *value >= 0.0);
    pairs
        .filter_map(|(name, value)| Some((name.to_owned(), number(value)? as u64)))
        .collect()
}

impl Counts {
    /// The series of a metric by their labels.
    pub(super) fn of(&self, metric: &str) -> BTreeMap<String, u64> {
        let own = |(name, count): (&String, &u64)| {
            let labels = name.strip_prefix(metric)?.strip_prefix('{')?;
            Some((labels.trim_end_matches('}').to_owned(), *count))
        };
        self.0.iter().filter_map(own).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_their_metric() {
        let text = "# HELP lost_total y\nlost_total{class=\"exit\",cause=\"ring_full\"} 3\n\
                    lost_total_more{class=\"exit\"} 1\nother x\n";
        let found = Counts(keyed(text)).of("lost_total");
        let expected = [("class=\"exit\",cause=\"ring_full\"".to_owned(), 3)];
        assert_eq!(found, BTreeMap::from(expected));
    }
}
