//! Whether and how a cluster is asked, the REST API is served and metrics are.

use std::path::Path;

use super::args::{KubernetesMode, Settings};
use super::{Cluster, Error, Kubernetes};
use crate::api;
use crate::api::auth::{self, tokens};
use crate::incident::trigger::Scope;
use crate::metrics;
use crate::sources::kube::{Access, Directories};

pub(super) fn kubernetes(settings: &Settings, environment: &[String]) -> Result<Kubernetes, Error> {
    let in_cluster = environment
        .iter()
        .any(|key| key == "KUBERNETES_SERVICE_HOST");
    let on = match settings.kubernetes.kubernetes {
        KubernetesMode::Off => return Ok(Kubernetes::Off("BLACKBOX_KUBERNETES=off")),
        KubernetesMode::Auto => in_cluster,
        KubernetesMode::On => true,
    };
    if !on {
        return Ok(Kubernetes::Off("not inside a cluster"));
    }
    match settings.api.api_key.is_some() || settings.api.api_keys_file.is_some() {
        true => Ok(Kubernetes::On),
        false => Err(Error::Required {
            key: "BLACKBOX_API_KEY (or BLACKBOX_API_KEYS_FILE)",
            when: "with Kubernetes",
        }),
    }
}

/// How the API server is reached. An empty `KUBECONFIG` is none, as for other clients.
pub(super) fn cluster(settings: &Settings) -> Cluster {
    let kubernetes = &settings.kubernetes;
    let kubeconfig = kubernetes.kubeconfig.clone();
    Cluster {
        access: Access {
            kubeconfig: kubeconfig.filter(|path| !path.as_os_str().is_empty()),
            timeout: kubernetes.k8s_timeout,
        },
        retry: kubernetes.k8s_retry_interval,
        pending: kubernetes.kube_pending_limit,
        state_dir: settings.recording.state_dir.clone(),
        events: kubernetes.kube_events,
        logs: Directories {
            pods: kubernetes.pod_logs.clone(),
            containers: kubernetes.container_logs.clone(),
        },
        log_bytes: kubernetes.log_tail_bytes,
    }
}

/// The pods that may have incidents.
pub(super) fn scope(settings: &Settings) -> Scope {
    let kubernetes = &settings.kubernetes;
    Scope {
        include_namespaces: kubernetes.kube_include_namespaces.clone(),
        exclude_namespaces: kubernetes.kube_exclude_namespaces.clone(),
        include_pods: kubernetes.kube_include_pods.clone(),
        exclude_pods: kubernetes.kube_exclude_pods.clone(),
    }
}

/// The REST API's configuration. Without a key nobody could use it: then there is none.
pub(super) fn api(
    settings: &Settings,
    kubernetes: &Kubernetes,
    node: Option<&str>,
) -> Result<Option<api::Config>, Error> {
    let keys = &settings.api;
    if keys.api_key.is_none() && keys.api_keys_file.is_none() {
        return Ok(None);
    }
    let variable = |key: &str| std::env::var(key).ok();
    let in_cluster = *kubernetes == Kubernetes::On && variable("KUBERNETES_SERVICE_HOST").is_some();
    let tokens = match node {
        Some(node) if in_cluster && keys.api_token_audience != "off" => {
            let service_account = Path::new(tokens::SERVICE_ACCOUNT);
            let config = tokens::Config::in_cluster(node.to_owned(), service_account, variable);
            let config = config.map_err(|error| Error::Value {
                key: "BLACKBOX_API_TOKEN_AUDIENCE",
                value: keys.api_token_audience.clone(),
                allowed: format!("{error}; off for no tokens"),
            })?;
            Some(tokens::Config {
                audience: keys.api_token_audience.clone(),
                ..config
            })
        }
        _ => None,
    };
    let tls = keys
        .api_tls_cert_file
        .clone()
        .zip(keys.api_tls_key_file.clone());
    Ok(Some(api::Config {
        address: keys.api_address,
        port: keys.api_port,
        max_body: keys.api_max_body_size,
        timeout: keys.api_timeout,
        telemetry_per_minute: keys.api_rate_limit,
        cors_origins: keys.api_cors_origins.clone(),
        swagger: keys.swagger_enable,
        auth: auth::Config {
            key: keys.api_key.clone(),
            keys_file: keys.api_keys_file.clone(),
            tokens,
        },
        tls,
    }))
}

pub(super) fn metrics(settings: &Settings) -> Option<metrics::Config> {
    let metrics = &settings.metrics;
    metrics.metrics_enabled.then(|| metrics::Config {
        address: metrics.metrics_address,
        port: metrics.metrics_port,
        path: metrics.metrics_path.clone(),
    })
}
