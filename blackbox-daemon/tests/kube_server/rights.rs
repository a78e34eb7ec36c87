//! The daemon's account may do what the manifest lists, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;
use xtask::kube::User;

use crate::access::{Access, allowed, everything};
use crate::stage::{NAMESPACE, NODE, Stage, manifest};

/// What every account may: ask what it may.
const EVERYBODY: [&str; 2] = [
    "create selfsubjectaccessreviews.authorization.k8s.io",
    "create selfsubjectrulesreviews.authorization.k8s.io",
];
/// What it must never be able to do, whatever the manifest comes to list: run commands, read secrets, take more rights.
const NEVER: [&str; 12] = [
    "get nodes/proxy",
    "create nodes/proxy",
    "create pods/exec",
    "get pods/exec",
    "create pods/attach",
    "create pods/portforward",
    "get secrets",
    "list secrets",
    "create pods",
    "delete pods",
    "create serviceaccounts/token",
    "impersonate users",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_account_may_do_what_the_manifest_lists_and_nothing_else() {
    let stage = Stage::new();
    let all = everything(stage.cluster.admin());
    assert!(all.len() > 1500, "{}", all.len());
    let has = |what: &str| all.iter().any(|access| access.to_string() == what);
    for never in NEVER {
        assert!(has(never), "not asked: {never}");
    }
    let account = stage.account();
    let own = names(&allowed(&account, &all).await);
    let mut listed = names(&listed());
    listed.extend(EVERYBODY.map(str::to_owned));
    assert_eq!(own, listed);
    for never in NEVER {
        assert!(!own.contains(never), "{never}");
    }
    let words = [
        "create",
        "serviceaccount",
        "nobody",
        "--namespace",
        NAMESPACE,
    ];
    stage.cluster.admin().kubectl(&words).expect("an account");
    let nobody = stage.cluster.account(NAMESPACE, "nobody");
    kubectl_says_the_same(&account, &nobody.expect("an account"));
    refused(&account);
}

/// `kubectl auth can-i --list`, without what it shows for every account.
fn kubectl_says_the_same(account: &User, nobody: &User) {
    let list = |user: &User| {
        let words = ["auth", "can-i", "--list", "--no-headers"];
        let rows = user.kubectl(&words).expect("a list");
        let row = |row: &str| row.split_whitespace().collect::<Vec<_>>().join(" ");
        rows.lines().map(row).collect::<BTreeSet<_>>()
    };
    let (own, everybodys) = (list(account), list(nobody));
    let own: Vec<&String> = own.difference(&everybodys).collect();
    let listed = [
        "events [] [] [list watch]",
        "pods [] [] [list watch]",
        "tokenreviews.authentication.k8s.io [] [] [create]",
    ];
    assert_eq!(own, listed);
}

/// The same, done and not only asked for.
fn refused(account: &User) {
    let node = format!("/api/v1/nodes/{NODE}/proxy/pods");
    let secrets = format!("/api/v1/namespaces/{NAMESPACE}/secrets/blackbox-daemon-config");
    for path in [
        &*node,
        &secrets,
        "/api/v1/nodes",
        "/apis/apps/v1/daemonsets",
        "/metrics",
    ] {
        let refused = account.get(path).expect_err(path);
        assert!(
            format!("{refused:#}").contains("Forbidden"),
            "{path}: {refused:#}"
        );
    }
    account.get("/api/v1/pods").expect("pods");
}

/// What the manifest's cluster role lists.
fn listed() -> BTreeSet<Access> {
    let objects = manifest();
    let mut role = objects.iter().filter(|it| it["kind"] == "ClusterRole");
    let rules = role.next().expect("a role")["rules"].as_array();
    let mut listed = BTreeSet::new();
    for rule in rules.expect("rules") {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                let verbs = texts(&rule["verbs"]).into_iter();
                listed.extend(verbs.map(|verb| Access::new(&verb, &group, &resource)));
            }
        }
    }
    assert!(role.next().is_none(), "one role");
    listed
}

fn names(accesses: &BTreeSet<Access>) -> BTreeSet<String> {
    accesses.iter().map(Access::to_string).collect()
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().expect("a list").iter();
    texts
        .map(|it| it.as_str().expect("a text").to_owned())
        .collect()
}
