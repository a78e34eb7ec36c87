//! Metric families made from values that exist elsewhere. A family without a sample is not shown.

use std::time::Duration;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType, Summary};

/// Families under way. The caller gives each name once, and each family different labels.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    /// A value that can go down.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::GAUGE)
    }

    /// A count since some start.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::COUNTER)
    }

    /// How many there were and how long they took together.
    pub(super) fn summary(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::SUMMARY)
    }

    fn family(&mut self, name: &str, help: &str, kind: MetricType) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        self.0.push(family);
        let last = self.0.len() - 1;
        Family {
            family: &mut self.0[last],
            kind,
        }
    }

    /// These and `others`, by name, without the empty ones.
    pub(super) fn with(mut self, others: Vec<MetricFamily>) -> Vec<MetricFamily> {
        self.0.extend(others);
        self.0.retain(|family| !family.get_metric().is_empty());
        self.0.sort_by(|one, other| one.name().cmp(other.name()));
        self.0
    }
}

/// One family under way.
pub(super) struct Family<'a> {
    family: &'a mut MetricFamily,
    kind: MetricType,
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        let mut metric = labelled(labels);
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family.mut_metric().push(metric);
        self
    }

    /// Adds a sample of a summary.
    pub(super) fn add_times(&mut self, labels: &[(&str, &str)], count: u64, took: Duration) {
        let mut summary = Summary::default();
        summary.set_sample_count(count);
        summary.set_sample_sum(took.as_secs_f64());
        let mut metric = labelled(labels);
        metric.set_summary(summary);
        self.family.mut_metric().push(metric);
    }

    /// Adds a sample of something that may not be known.
    pub(super) fn add_known(&mut self, labels: &[(&str, &str)], value: Option<f64>) -> &mut Self {
        match value {
            Some(value) => self.add(labels, value),
            None => self,
        }
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let labels = labels.iter().map(|(name, value)| {
        let mut label = LabelPair::default();
        label.set_name((*name).to_owned());
        label.set_value((*value).to_owned());
        label
    });
    Metric::from_label(labels.collect())
}

/// A count as Prometheus has it: exact below 2^53.
pub(super) fn number(count: u64) -> f64 {
    count as f64
}
