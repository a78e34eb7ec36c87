//! The dashboard and the alerts ask only for metrics that a real scrape has.

use std::collections::BTreeSet;
use std::time::Duration;

use blackbox_daemon::record::SourceName;
use serde_json::Value;

use crate::promql::names;
use crate::promtool::deployments;
use crate::samples::samples;
use crate::stage::Stage;

/// The title and the queries of each panel.
pub(crate) fn panels() -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(deployments().join("dashboard.json")).expect("a file");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries = |panel: &Value| -> Vec<String> {
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets
            .map(|target| target["expr"].as_str().expect("a query").to_owned())
            .collect()
    };
    let title = |panel: &Value| panel["title"].as_str().expect("a title").to_owned();
    let panels: Vec<_> = panels
        .iter()
        .filter(|panel| panel["type"] != "row")
        .map(|panel| (title(panel), queries(panel)))
        .collect();
    assert!(panels.len() > 20 && panels.iter().all(|(_, queries)| !queries.is_empty()));
    panels
}

/// Every `expr` of the alerts: on its line, or folded into the next ones.
fn alerts() -> Vec<String> {
    let text = std::fs::read_to_string(deployments().join("alerts.yml")).expect("a file");
    let expressions: Vec<String> = text
        .split("expr: ")
        .skip(1)
        .map(|rest| {
            let keys = ["\n        for:", "\n        labels:"];
            let end = keys.iter().filter_map(|key| rest.find(key)).min();
            let expression = &rest[..end.expect("labels after the expression")];
            expression.trim_start_matches(">-").trim().to_owned()
        })
        .collect();
    assert_eq!(expressions.len(), text.matches("- alert: ").count());
    expressions
}

#[tokio::test]
async fn dashboard_and_alerts_name_only_metrics_that_exist() {
    let stage = Stage::start("/metrics").await;
    samples().into_iter().for_each(|event| stage.offer(event));
    stage.api_traffic().await;
    stage.deaths(1);
    stage
        .metrics
        .sampled(SourceName::Procfs, Duration::ZERO, false);
    let scrape = stage
        .until(|scrape| {
            let loaded = scrape.0.contains_key("blackbox_load_average");
            loaded && scrape.0.contains_key("formatter_bytes_total")
        })
        .await;
    let mut exist: BTreeSet<String> = scrape.sample_names();
    // Prometheus makes it.
    exist.insert("up".to_owned());
    // Made of what the recorder announces of its sources, which this one has none of.
    exist.insert("blackbox_source_state".to_owned());
    let dashboard = panels().into_iter().flat_map(|(_, queries)| queries);
    for query in dashboard.chain(alerts()) {
        let asked = names(&query);
        assert!(!asked.is_empty(), "no metric in {query:?}");
        let missing: Vec<_> = asked.difference(&exist).collect();
        assert!(missing.is_empty(), "{missing:?} of {query:?}");
    }
}
