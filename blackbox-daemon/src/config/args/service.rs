//! Keys of Kubernetes, the REST API and the metrics.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::values;

/// Where this daemon runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubernetes")]
pub struct Kubernetes {
    /// Kubernetes: auto uses it inside a cluster, on demands it, off never asks.
    #[arg(long, env = "BLACKBOX_KUBERNETES", default_value = "auto")]
    pub kubernetes: KubernetesMode,
    /// The node's name.  [default: its host name]
    #[arg(long, env = "NODE_NAME")]
    pub node_name: Option<String>,
    /// The daemon's own namespace.
    #[arg(long, env = "POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// A kubeconfig file; without one, the pod's service account.
    #[arg(long, env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Time-out of a request to the API server.
    #[arg(
        long, env = "BLACKBOX_K8S_TIMEOUT", default_value = "30s",
        value_parser = values::positive_duration
    )]
    pub k8s_timeout: Duration,
    /// Pause before the API server is tried again.
    #[arg(
        long, env = "BLACKBOX_K8S_RETRY_INTERVAL", default_value = "5s",
        value_parser = values::positive_duration
    )]
    pub k8s_retry_interval: Duration,
    /// How long a pod may be pending before that is an incident.
    #[arg(
        long, env = "BLACKBOX_KUBE_PENDING_LIMIT", default_value = "5m",
        value_parser = values::positive_duration
    )]
    pub kube_pending_limit: Duration,
    /// Namespaces whose pods may have incidents; `*` stands for anything, comma between.  [default: all]
    #[arg(
        long, env = "BLACKBOX_KUBE_INCLUDE_NAMESPACES", value_delimiter = ',',
        value_parser = values::pod_pattern
    )]
    pub kube_include_namespaces: Vec<String>,
    /// Namespaces whose pods have none.
    #[arg(
        long, env = "BLACKBOX_KUBE_EXCLUDE_NAMESPACES", value_delimiter = ',',
        value_parser = values::pod_pattern
    )]
    pub kube_exclude_namespaces: Vec<String>,
    /// Pods that may have incidents, by name or namespace/name.  [default: all]
    #[arg(
        long, env = "BLACKBOX_KUBE_INCLUDE_PODS", value_delimiter = ',',
        value_parser = values::pod_pattern
    )]
    pub kube_include_pods: Vec<String>,
    /// Pods that have none; so have those annotated `blackbox.dev/incidents: "off"`.
    #[arg(
        long, env = "BLACKBOX_KUBE_EXCLUDE_PODS", value_delimiter = ',',
        value_parser = values::pod_pattern
    )]
    pub kube_exclude_pods: Vec<String>,
    /// Write an Event on the pod for each incident; needs the right to create events.
    #[arg(
        long, env = "BLACKBOX_KUBE_EVENTS", default_value = "false",
        value_parser = values::go_bool, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub kube_events: bool,
    /// The kubelet's directory of logs: reports have the last lines of a dead container, and names come from it where the
    /// API server cannot be asked.
    #[arg(long, env = "BLACKBOX_POD_LOGS", default_value = "/var/log/pods")]
    pub pod_logs: PathBuf,
    /// The kubelet's directory of links to logs, which have the containers' ids in their names.
    #[arg(
        long,
        env = "BLACKBOX_CONTAINER_LOGS",
        default_value = "/var/log/containers"
    )]
    pub container_logs: PathBuf,
    /// Most bytes of a dead container's log in a report; 0 for none.
    #[arg(
        long, env = "BLACKBOX_LOG_TAIL_BYTES", default_value = "16KiB",
        value_parser = values::tail_bytes
    )]
    pub log_tail_bytes: u64,
}

/// Whether Kubernetes is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KubernetesMode {
    Auto,
    On,
    Off,
}

/// The REST API.
#[derive(Debug, Args)]
#[command(next_help_heading = "REST API (served when there is a key)")]
pub struct Api {
    /// Address the REST API listens at.  [default: all, IPv6 and IPv4]
    #[arg(long, env = "BLACKBOX_API_ADDRESS")]
    pub api_address: Option<IpAddr>,
    /// Port of the REST API.
    #[arg(
        long, env = "BLACKBOX_API_PORT", default_value_t = 8080,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub api_port: u16,
    /// Key that clients send as a bearer token; it allows everything. With Kubernetes this or a file is required.
    #[arg(long, env = "BLACKBOX_API_KEY", value_parser = values::api_key)]
    pub api_key: Option<String>,
    /// JSON file of named keys with scopes; read again when it changes.
    #[arg(long, env = "BLACKBOX_API_KEYS_FILE")]
    pub api_keys_file: Option<PathBuf>,
    /// Audience of service-account tokens that pods may use instead of a key, inside a cluster; off for none.
    #[arg(
        long, env = "BLACKBOX_API_TOKEN_AUDIENCE", default_value = "blackbox",
        value_parser = values::non_empty
    )]
    pub api_token_audience: String,
    /// Serve the API's description and its browser page.
    #[arg(
        long, env = "BLACKBOX_SWAGGER_ENABLE", default_value = "false",
        value_parser = values::go_bool, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub swagger_enable: bool,
    /// Time-out of a request.
    #[arg(
        long, env = "BLACKBOX_API_TIMEOUT", default_value = "30s",
        value_parser = values::positive_duration
    )]
    pub api_timeout: Duration,
    /// Largest body of a request, bytes.
    #[arg(
        long, env = "BLACKBOX_API_MAX_BODY_SIZE", default_value = "1048576",
        value_parser = values::byte_size
    )]
    pub api_max_body_size: u64,
    /// Telemetry requests per minute and key.
    #[arg(
        long, env = "BLACKBOX_API_RATE_LIMIT", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub api_rate_limit: u32,
    /// Origins browsers may call from; comma between.
    #[arg(
        long,
        env = "BLACKBOX_API_CORS_ORIGINS",
        default_value = "*",
        value_delimiter = ','
    )]
    pub api_cors_origins: Vec<String>,
    /// Certificate for TLS; together with --api-tls-key-file.
    #[arg(
        long,
        env = "BLACKBOX_API_TLS_CERT_FILE",
        requires = "api_tls_key_file"
    )]
    pub api_tls_cert_file: Option<PathBuf>,
    /// Key for TLS; together with --api-tls-cert-file.
    #[arg(
        long,
        env = "BLACKBOX_API_TLS_KEY_FILE",
        requires = "api_tls_cert_file"
    )]
    pub api_tls_key_file: Option<PathBuf>,
    /// v1's Go profiler; accepted and ignored.
    #[arg(
        long, env = "BLACKBOX_PPROF_ENABLED", default_value = "false",
        value_parser = values::go_bool, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub pprof_enabled: bool,
}

/// The metrics.
#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics")]
pub struct Metrics {
    /// Address the metrics are served at.  [default: all, IPv6 and IPv4]
    #[arg(long, env = "BLACKBOX_METRICS_ADDRESS")]
    pub metrics_address: Option<IpAddr>,
    /// Serve Prometheus metrics.
    #[arg(
        long, env = "BLACKBOX_METRICS_ENABLED", default_value = "true",
        value_parser = values::go_bool, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub metrics_enabled: bool,
    /// Port of the metrics.
    #[arg(
        long, env = "BLACKBOX_METRICS_PORT", default_value_t = 9090,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub metrics_port: u16,
    /// Path of the metrics.
    #[arg(
        long, env = "BLACKBOX_METRICS_PATH", default_value = "/metrics",
        value_parser = values::url_path
    )]
    pub metrics_path: String,
}
