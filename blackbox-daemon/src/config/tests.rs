//! What is refused at start, and how v1 is understood.

use clap::FromArgMatches;

use super::args::Cli;
use super::*;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    let words = [&["blackbox-daemon"], args].concat();
    Cli::from_arg_matches(&args::command().try_get_matches_from(words)?)
}

fn config(args: &[&str], environment: &[&str]) -> Result<Config, Error> {
    let cli = parse(args).unwrap();
    let environment: Vec<String> = environment.iter().map(|key| (*key).to_owned()).collect();
    Config::new(cli.settings, &environment)
}

fn refused(args: &[&str]) -> String {
    parse(args).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let error = config(&[], &["BLACKBOX_OUTPUT_FORMATERS"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("BLACKBOX_OUTPUT_FORMATTERS"), "{error}");
}

#[test]
fn service_links_are_not_keys() {
    let links = [
        "BLACKBOX_DAEMON_METRICS_SERVICE_HOST",
        "BLACKBOX_DAEMON_METRICS_SERVICE_PORT",
        "BLACKBOX_DAEMON_METRICS_PORT_9090_TCP_ADDR",
    ];
    assert!(config(&[], &links).is_ok());
}

#[test]
fn wrong_values_name_key_value_and_what_is_allowed() {
    for (args, words) in [
        (
            ["--api-port", "0"],
            ["BLACKBOX_API_PORT", "'0'", "1..=65535"],
        ),
        (
            ["--buffer-window-size", "0s"],
            ["BLACKBOX_BUFFER_WINDOW_SIZE", "'0s'", "above zero"],
        ),
        (
            ["--output-formatters", "xml"],
            ["BLACKBOX_OUTPUT_FORMATTERS", "'xml'", "json"],
        ),
        (
            ["--log-level", "loud"],
            ["BLACKBOX_LOG_LEVEL", "'loud'", "debug"],
        ),
        (
            ["--swagger-enable", "yes"],
            ["BLACKBOX_SWAGGER_ENABLE", "'yes'", "true or false"],
        ),
        (["--api-key", ""], ["BLACKBOX_API_KEY", "", "allowed"]),
        (
            ["--run-as", "nobody"],
            ["BLACKBOX_RUN_AS", "'nobody'", "uid:gid"],
        ),
        (["--seccomp", "no"], ["BLACKBOX_SECCOMP", "'no'", "off"]),
    ] {
        let error = refused(&args);
        for word in words {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
}

#[test]
fn contradictions_are_refused() {
    let both = config(&["--output-path", "stdout", "--emitters", "[]"], &[]).unwrap_err();
    assert!(matches!(both, Error::Contradiction { .. }));
    let half = refused(&["--api-tls-cert-file", "/cert"]);
    assert!(half.contains("--api-tls-key-file"), "{half}");
    let keyless = config(&["--kubernetes", "on"], &[])
        .unwrap_err()
        .to_string();
    assert!(keyless.contains("BLACKBOX_API_KEY"), "{keyless}");
}

#[test]
fn v1_emitters_are_understood() {
    let json = r#"[{"type":"file","config":{"path":"/var/log/x/incidents.log","append":true}},
                   {"type":"http","config":{"url":"http://127.0.0.1/in"}}]"#;
    let config = config(&["--emitters", json], &[]).unwrap();
    assert!(matches!(&config.destinations[0],
        DestinationConfig::File(file) if file.directory == Path::new("/var/log/x")));
    assert!(matches!(config.destinations[1], DestinationConfig::Http(_)));
    assert!(emitters("[]").is_err());
    assert!(
        emitters(r#"[{"type":"kafka"}]"#)
            .unwrap_err()
            .to_string()
            .contains("stdout")
    );
}

#[test]
fn kubernetes_is_off_outside_a_cluster() {
    let alone = config(&[], &[]).unwrap();
    assert_eq!(alone.kubernetes, Kubernetes::Off("not inside a cluster"));
    let inside = config(&["--api-key", "k"], &["KUBERNETES_SERVICE_HOST"]).unwrap();
    assert_eq!(inside.kubernetes, Kubernetes::On);
}
