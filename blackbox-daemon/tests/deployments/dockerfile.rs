//! The Dockerfile, as far as it can be judged without building it (`cargo xtask image` does).

use crate::daemon::settings;
use crate::objects::{container, deployments, plain};

fn read(path: &str) -> String {
    std::fs::read_to_string(deployments("..").join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Instructions of the last stage, one a line.
fn last_stage() -> Vec<String> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let (_, last) = text.rsplit_once("\nFROM ").expect("a stage");
    let lines = last
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn the_image_is_made_of_nothing_but_what_is_copied() {
    let stage = last_stage();
    assert_eq!(stage[0], "scratch");
    let allowed = ["scratch", "ARG", "LABEL", "COPY", "EXPOSE", "ENTRYPOINT"];
    for line in &stage {
        let instruction = line.split(' ').next().unwrap();
        assert!(allowed.contains(&instruction), "{line}");
    }
    let copied = stage.iter().filter(|line| line.starts_with("COPY"));
    assert!(copied.clone().all(|line| line.contains("--from=daemon")));
    assert_eq!(copied.count(), 2);
    // In the form that needs no shell.
    assert!(stage.contains(&r#"ENTRYPOINT ["/blackbox-daemon"]"#.to_owned()));
    for label in ["title", "description", "licenses", "version", "revision"] {
        let label = format!("org.opencontainers.image.{label}=");
        assert!(stage.iter().any(|line| line.contains(&label)), "{label}");
    }
}

#[test]
fn its_ports_are_the_daemons() {
    let settings = settings(std::iter::empty());
    let ports = [settings.api.api_port, settings.metrics.metrics_port];
    let exposed = format!("EXPOSE {} {}", ports[0], ports[1]);
    assert!(last_stage().contains(&exposed), "{exposed}");
    let objects = plain();
    let declared = container(&objects)["ports"].as_array().unwrap().iter();
    assert!(declared.map(|port| &port["containerPort"]).eq(ports.iter()));
}

#[test]
fn what_is_built_is_sent_and_nothing_else() {
    let sent = read(".dockerignore");
    let sent: Vec<&str> = sent
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let workspace = read("Cargo.toml");
    let (_, list) = workspace.split_once("members = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let members = list.split(',').map(|it| it.trim().trim_matches('"'));
    let members: Vec<&str> = members.filter(|member| !member.is_empty()).collect();
    assert!(members.len() >= 4, "{members:?}");
    for path in members.iter().chain(&["Cargo.toml", "Cargo.lock"]) {
        assert!(sent.contains(path), "{path} is not sent");
    }
    for path in [".git", "target", "docs", "deployments"] {
        assert!(!sent.contains(&path), "{path} is sent");
    }
}
