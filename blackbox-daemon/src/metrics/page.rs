//! The metrics port: the metrics, and a small page that leads to them. Reads and writes nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::Metrics;

/// The type of the text format 0.0.4 (Prometheus, "Exposition formats").
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
struct Page {
    metrics: Metrics,
    path: Arc<str>,
}

impl Metrics {
    /// Serves the metrics on `path`, and on `/` a page that leads there. GET and HEAD only.
    pub fn router(&self, path: &str) -> Router {
        let page = Page {
            metrics: self.clone(),
            path: path.into(),
        };
        // Compared as text: the path is the user's, and axum would read braces and refuse a second `/`.
        Router::new().fallback_service(get(answer).with_state(page))
    }
}

async fn answer(State(page): State<Page>, uri: Uri) -> Response {
    match uri.path() {
        path if path == &*page.path => metrics(&page.metrics),
        "/" => Html(index(&page.path)).into_response(),
        _ => (StatusCode::NOT_FOUND, "not found\n").into_response(),
    }
}

/// Made here and now: it takes a few hundred microseconds, most of them for reading `/proc/self`.
fn metrics(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be written");
            let text = format!("metrics could not be written: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

fn index(path: &str) -> String {
    let mut link = String::new();
    for character in path.chars() {
        match character {
            '&' => link.push_str("&amp;"),
            '<' => link.push_str("&lt;"),
            '>' => link.push_str("&gt;"),
            '"' => link.push_str("&quot;"),
            other => link.push(other),
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>BlackBox</title></head>\n<body>\n\
         <h1>BlackBox</h1>\n<p><a href=\"{link}\">Metrics</a></p>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::index;

    #[test]
    fn a_path_cannot_write_html() {
        assert!(index("/metrics").contains("<a href=\"/metrics\">"));
        assert!(index("/\"><b>").contains("<a href=\"/&quot;&gt;&lt;b&gt;\">"));
    }
}
