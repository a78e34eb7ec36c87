//! Credentials that are refused, an API server that is away, a daemon that is started again: survived, said, made good.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tempfile::TempDir;

use crate::pods::{Instances, spec, status};
use crate::running::{Answer, Running};
use crate::stage::{ACCOUNT, DOWN, NAMESPACE, NODE, Stage, UP, until_metric};

/// Longer than an incident stays open here.
const TOO_MUCH: Duration = Duration::from_secs(1);
const ENDS: &str = "blackbox_k8s_container_ends_total";

/// Waits until the daemon has recorded so many ends, and no more.
async fn until_ends(daemon: &Running, ends: u32) {
    until_metric(daemon, &format!("{ENDS} {ends}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_was_away_and_credentials_that_were_refused() {
    let (mut stage, state) = (Stage::new(), TempDir::new().unwrap());
    let kubelet = stage.cluster.kubelet(NODE).unwrap();
    let pod = kubelet.bind("default", "app", &spec("Always")).unwrap();
    let app = Instances {
        pod: "app",
        first: Timestamp::now() - SignedDuration::from_secs(60),
    };
    let die = |instance: u32| {
        let end = |instance| app.ended(instance, 1, "Error");
        let last = (instance > 0).then(|| end(instance - 1));
        let dead = app.dead(instance, &end(instance), last);
        kubelet
            .write_status(&pod, &status("Running", &dead))
            .unwrap();
        let next = app.running(instance + 1, Some(end(instance)));
        kubelet
            .write_status(&pod, &status("Running", &next))
            .unwrap();
    };
    let running = status("Running", &app.running(0, None));
    kubelet.write_status(&pod, &running).unwrap();
    let daemon = stage.daemon(&stage.account(), state.path()).await;
    die(0);
    until_ends(&daemon, 1).await;

    stage.cluster.stop_apiserver();
    until_metric(&daemon, DOWN).await;
    stage.cluster.start_apiserver().unwrap();
    die(1);
    until_metric(&daemon, UP).await;
    until_ends(&daemon, 2).await;

    // A watch that is open goes on without being asked who it is; so the server has to be away for a moment.
    let account = format!("serviceaccount/{ACCOUNT}");
    let words = ["delete", &account, "--namespace", NAMESPACE];
    stage.cluster.admin().kubectl(&words).unwrap();
    stage.cluster.stop_apiserver();
    stage.cluster.start_apiserver().unwrap();
    until_metric(&daemon, DOWN).await;
    daemon
        .until("/api/v1/window?kind=recorder", |answer| {
            answer.text.contains("answered 401 Unauthorized")
        })
        .await;
    let health = daemon.get("/api/v1/health").await;
    assert_eq!(health.status, 200, "it records all the same: {health:?}");
    assert_eq!(health.json()["components"]["pod_watcher"], "unhealthy");
    let words = [
        "create",
        "serviceaccount",
        ACCOUNT,
        "--namespace",
        NAMESPACE,
    ];
    stage.cluster.admin().kubectl(&words).unwrap();
    // In the place of the old one, as the kubelet does with a pod's token.
    let user = stage.account();
    die(2);
    until_metric(&daemon, UP).await;
    until_ends(&daemon, 3).await;
    drop(daemon);

    die(3);
    let again = stage.daemon(&user, state.path()).await;
    until_ends(&again, 1).await;
    let told = |answer: &Answer| answer.json()["total"] == 1;
    again.until("/api/v1/incidents", told).await;
    tokio::time::sleep(TOO_MUCH).await;
    assert!(told(&again.get("/api/v1/incidents").await), "none twice");
    let answer = again
        .get("/api/v1/window?kind=container_ended")
        .await
        .json();
    let ended = &answer["entries"];
    assert_eq!(ended.as_array().unwrap().len(), 1, "{ended:#}");
    assert_eq!(ended[0]["tags"]["pod_name"], json!("app"), "{ended:#}");
    assert!(
        ended[0]["value"].to_string().contains("(restarts: 4)"),
        "{ended:#}"
    );
}
