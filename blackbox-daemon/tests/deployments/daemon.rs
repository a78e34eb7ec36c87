//! The manifests and the daemon know each other: its keys, its ports, its version, and the key that it refuses.

use blackbox_daemon::config::args::{self, Cli, Settings};
use blackbox_daemon::config::values::PLACEHOLDER_KEY;
use clap::FromArgMatches as _;
use serde_json::{Value, json};

use crate::objects::{KEY, composed, container, deployments, find, plain};

/// The daemon's command line, with these flags.
fn parse(flags: &[String]) -> Result<Cli, clap::Error> {
    let words = std::iter::once("blackbox-daemon".to_owned()).chain(flags.iter().cloned());
    let found = args::command().try_get_matches_from(words)?;
    Cli::from_arg_matches(&found)
}

/// What the daemon makes of these variables; one that it does not know ends the test.
pub(crate) fn settings<'a>(env: impl Iterator<Item = (&'a str, &'a str)>) -> Settings {
    let command = args::command();
    let flags: Vec<String> = env
        .map(|(name, value)| {
            let known = |arg: &&clap::Arg| arg.get_env().is_some_and(|key| key == name);
            let argument = command.get_arguments().find(known);
            let flag = argument.unwrap_or_else(|| panic!("unknown key {name}"));
            format!("--{}={value}", flag.get_long().expect("a flag"))
        })
        .collect();
    parse(&flags).expect("values that it allows").settings
}

/// What the daemon makes of its container's variables.
fn of_the_container(objects: &[Value]) -> Settings {
    let env = container(objects)["env"].as_array().expect("variables");
    settings(env.iter().map(|variable| {
        let value = variable["value"].as_str().unwrap_or("from-elsewhere");
        (variable["name"].as_str().expect("a name"), value)
    }))
}

#[test]
fn every_key_is_the_daemons_and_every_value_is_allowed() {
    let objects = plain();
    let settings = of_the_container(&objects);
    let events = of_the_container(&composed(&["kube-events"]));
    assert!(!settings.kubernetes.kube_events && events.kubernetes.kube_events);
    let ports: Vec<&Value> = container(&objects)["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| &port["containerPort"])
        .collect();
    assert_eq!(
        ports,
        [settings.api.api_port, settings.metrics.metrics_port]
    );
    let set = find(&objects, "DaemonSet", "blackbox-daemon");
    assert_eq!(
        set["spec"]["template"]["metadata"]["annotations"],
        json!({
            "prometheus.io/scrape": "true",
            "prometheus.io/port": settings.metrics.metrics_port.to_string(),
            "prometheus.io/path": settings.metrics.metrics_path,
        })
    );
}

#[test]
fn what_the_daemon_reads_and_writes_is_mounted_where_it_looks() {
    let objects = plain();
    let settings = of_the_container(&objects);
    let mounts = container(&objects)["volumeMounts"].as_array().unwrap();
    for (path, written) in [
        (&settings.recording.proc_root, false),
        (&settings.kubernetes.pod_logs, false),
        (&settings.kubernetes.container_logs, false),
        (&settings.recording.state_dir.unwrap(), true),
    ] {
        let mounted = |mount: &&Value| mount["mountPath"] == path.to_str().unwrap();
        let mount = mounts.iter().find(mounted);
        let mount = mount.unwrap_or_else(|| panic!("{} is not mounted", path.display()));
        assert_eq!(mount.get("readOnly").is_none(), written, "{mount}");
    }
}

#[test]
fn services_reach_the_daemons_ports() {
    let objects = plain();
    let labels =
        &find(&objects, "DaemonSet", "blackbox-daemon")["spec"]["template"]["metadata"]["labels"];
    for (name, port, number) in [
        ("blackbox-daemon", "api", 8080),
        ("blackbox-daemon-metrics", "metrics", 9090),
    ] {
        let service = &find(&objects, "Service", name)["spec"];
        assert_eq!(&service["selector"], labels);
        assert_eq!(
            service["ports"],
            json!([{"name": port, "port": number, "targetPort": port}])
        );
    }
}

#[test]
fn the_key_of_the_manifests_is_refused() {
    let objects = plain();
    let secret = find(&objects, "Secret", "blackbox-daemon-config");
    assert_eq!(
        secret["stringData"],
        json!({"BLACKBOX_API_KEY": PLACEHOLDER_KEY})
    );
    assert_eq!(KEY, PLACEHOLDER_KEY);
    let error = parse(&[format!("--api-key={PLACEHOLDER_KEY}")]).unwrap_err();
    assert!(error.to_string().contains("placeholder"), "{error}");
}

#[test]
fn one_version_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("blackbox-daemon:{version}");
    assert_eq!(container(&plain())["image"], image.as_str());
    let read = |path: &str| std::fs::read_to_string(deployments(path)).unwrap();
    let chart: Value = serde_saphyr::from_str(&read("helm/blackbox/Chart.yaml")).unwrap();
    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    let dockerfile = read("../Dockerfile");
    assert!(dockerfile.contains(&format!("ARG VERSION={version}\n")));
    assert!(dockerfile.contains(&image));
}
