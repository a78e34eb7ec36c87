//! Every verb on everything an API server has, asked for as one user: what is allowed.
//!
//! Asks what `kubectl auth can-i` asks (a SelfSubjectAccessReview for each), several at a time.

use std::collections::BTreeSet;
use std::fmt;

use axum::http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use xtask::kube::User;

/// What objects can be asked for, and what some of them are special for.
const VERBS: [&str; 16] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "*",
    "impersonate",
    "bind",
    "escalate",
    "approve",
    "sign",
    "use",
    "proxy",
];
/// Resources that no list has: all of them, and those that only rights know.
const UNLISTED: [(&str, &str); 8] = [
    ("*", "*"),
    ("", "*"),
    ("", "users"),
    ("", "groups"),
    ("", "nodes/metrics"),
    ("", "nodes/stats"),
    ("", "nodes/log"),
    ("certificates.k8s.io", "signers"),
];
/// Questions that are asked at the same time.
const AT_ONCE: usize = 8;

/// A verb on a kind of object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Access {
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With its subresource: `pods/log`.
    pub(crate) resource: String,
}

impl Access {
    pub(crate) fn new(verb: &str, group: &str, resource: &str) -> Self {
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
        }
    }

    fn review(&self) -> Value {
        let (resource, subresource) = self
            .resource
            .split_once('/')
            .unwrap_or((&self.resource, ""));
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"verb": self.verb, "group": self.group,
                "resource": resource, "subresource": subresource}}})
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            group,
            resource,
        } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{verb} {resource}{dot}{group}")
    }
}

/// Every verb on every resource and subresource that the API server lists, and on those it does not.
pub(crate) fn everything(admin: &User) -> BTreeSet<Access> {
    let get = |path: &str| admin.get(path).expect("what the API server has");
    let groups = get("/apis");
    let versions = groups["groups"].as_array().expect("groups").iter();
    let versions = versions.flat_map(|group| group["versions"].as_array().expect("versions"));
    let paths = versions.map(|version| format!("/apis/{}", text(&version["groupVersion"])));
    let mut all = BTreeSet::new();
    let mut add = |group: &str, resource: &str| {
        all.extend(VERBS.map(|verb| Access::new(verb, group, resource)));
    };
    for path in paths.chain(["/api/v1".to_owned()]) {
        let group = path
            .strip_prefix("/apis/")
            .and_then(|it| it.split('/').next());
        for resource in get(&path)["resources"].as_array().expect("resources") {
            add(group.unwrap_or(""), text(&resource["name"]));
        }
    }
    for (group, resource) in UNLISTED {
        add(group, resource);
    }
    all
}

/// Those that this user is allowed, with all names and in all namespaces.
pub(crate) async fn allowed(user: &User, all: &BTreeSet<Access>) -> BTreeSet<Access> {
    let client = client(user).await;
    let (mut allowed, mut asking) = (BTreeSet::new(), JoinSet::new());
    for access in all {
        if asking.len() >= AT_ONCE {
            allowed.extend(asking.join_next().await.and_then(Result::unwrap));
        }
        let (client, access) = (client.clone(), access.clone());
        asking.spawn(async move {
            let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
            let body = serde_json::to_vec(&access.review()).expect("JSON");
            let request = Request::post(path).header("Content-Type", "application/json");
            let request = request.body(body).expect("a request");
            let answer: Value = client.request(request).await.expect("an answer");
            (answer["status"]["allowed"] == true).then_some(access)
        });
    }
    let last = asking.join_all().await;
    allowed.extend(last.into_iter().flatten());
    allowed
}

async fn client(user: &User) -> Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    let kubeconfig = Kubeconfig::read_from(user.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a kubeconfig")).expect("a client")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
