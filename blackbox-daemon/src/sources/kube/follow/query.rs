//! What is asked: the paths of lists and watches.

use std::time::Duration;

/// Objects asked for at once.
const PAGE: u32 = 500;

/// What is followed.
#[derive(Clone, Debug)]
pub(in super::super) struct What {
    /// In counts.
    pub(in super::super) name: &'static str,
    /// `/api/v1/pods`.
    pub(in super::super) path: &'static str,
    /// Field selector: `(field, value)`, all of which must fit.
    pub(in super::super) fields: Vec<(&'static str, String)>,
    /// Only what comes from now on: what there is already is not listed.
    pub(in super::super) news_only: bool,
}

/// How fresh a list must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// Whatever the API server has at hand: it need not ask etcd for the pods of the whole cluster.
    Any,
    /// The newest: what has been seen must not be taken back.
    Newest,
}

/// A list, or its next page.
pub(super) fn list(what: &What, fresh: Fresh, next: Option<&str>) -> String {
    let limit = if what.news_only { 1 } else { PAGE };
    let mut query = query(what);
    query.push(("limit", limit.to_string()));
    match (next, fresh) {
        (Some(token), _) => query.push(("continue", token.to_owned())),
        (None, Fresh::Any) if !what.news_only => {
            query.push(("resourceVersion", "0".to_owned()));
        }
        (None, _) => {}
    }
    path(what.path, &query)
}

/// A watch from `version` on that may be silent for so long.
pub(super) fn watch(what: &What, silence: Duration, version: &str) -> String {
    // The API server ends it before we do, so that only one that has fallen silent is cut.
    let seconds = (silence * 5 / 6).as_secs().max(1);
    let mut query = query(what);
    query.push(("watch", "true".to_owned()));
    query.push(("allowWatchBookmarks", "true".to_owned()));
    query.push(("timeoutSeconds", seconds.to_string()));
    query.push(("resourceVersion", version.to_owned()));
    path(what.path, &query)
}

fn query(what: &What) -> Vec<(&'static str, String)> {
    let fields: Vec<String> = what
        .fields
        .iter()
        .map(|(field, value)| format!("{field}={value}"))
        .collect();
    match fields.is_empty() {
        true => Vec::new(),
        false => vec![("fieldSelector", fields.join(","))],
    }
}

/// `path?name=value&…`, values escaped.
fn path(path: &str, query: &[(&str, String)]) -> String {
    let mut whole = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        whole.push(if index == 0 { '?' } else { '&' });
        whole.push_str(name);
        whole.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    whole.push(char::from(byte));
                }
                _ => whole.push_str(&format!("%{byte:02X}")),
            }
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let query = [("fieldSelector", "a=b,c=d/é".to_owned())];
        assert_eq!(
            path("/x", &query),
            "/x?fieldSelector=a%3Db%2Cc%3Dd%2F%C3%A9"
        );
    }

    #[test]
    fn a_list_asks_for_a_page_and_a_watch_for_its_end() {
        let pods = What {
            name: "pods",
            path: "/api/v1/pods",
            fields: vec![("spec.nodeName", "n".to_owned())],
            news_only: false,
        };
        let base = "/api/v1/pods?fieldSelector=spec.nodeName%3Dn";
        for (fresh, next, expected) in [
            (Fresh::Any, None, "limit=500&resourceVersion=0"),
            (Fresh::Newest, None, "limit=500"),
            (Fresh::Any, Some("t"), "limit=500&continue=t"),
        ] {
            assert_eq!(list(&pods, fresh, next), format!("{base}&{expected}"));
        }
        let asked = watch(&pods, Duration::from_secs(60), "7");
        let expected = "watch=true&allowWatchBookmarks=true&timeoutSeconds=50&resourceVersion=7";
        assert_eq!(asked, format!("{base}&{expected}"));
        let news = What {
            news_only: true,
            ..pods
        };
        assert_eq!(list(&news, Fresh::Any, None), format!("{base}&limit=1"));
    }
}
