//! The two ports: the REST API's and the metrics'. Each is served until the daemon stops.
//!
//! A port that cannot be had, or a certificate that cannot be read later on, never ends the daemon: it goes on
//! recording, says so by name, and tries again.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::recording::{Parts, Recording};
use crate::api::auth::Authorizer;
use crate::api::body::{Bodies, BodyLimits};
use crate::api::router::router;
use crate::api::server::{Limits, Listener};
use crate::api::stream::Live;
use crate::api::tls::Tls;
use crate::api::views::Views;
use crate::api::{self, Api};
use crate::clock;
use crate::metrics::{self, Metrics};
use crate::record::{Health, SourceName};
use crate::sources::sidecar::{self, Sidecars};
use crate::sources::{Feed, announce};

/// How often a port that cannot be had is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The running ports.
#[derive(Default)]
pub(super) struct Serving {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Serving {
    /// Serves what the configuration wants.
    ///
    /// # Errors
    /// The API's keys or its certificate cannot be used: a wrong configuration.
    pub(super) fn start(
        &self,
        parts: &Parts<'_>,
        recording: &Recording,
        feed: &Feed,
    ) -> anyhow::Result<()> {
        if let Some(config) = &parts.config.api {
            let sidecars = sidecar::Config::of(parts.config.window, &parts.config.storage);
            let live = Live::new(
                recording.handle.clone(),
                recording.told.clone(),
                self.stop.clone(),
            );
            let api = Api::new(api::Parts {
                recorder: recording.handle.clone(),
                sidecars: Sidecars::new(sidecars, feed.clone()).sparing(parts.memory.clone()),
                destinations: parts.destinations.clone(),
                durability: parts.durability.clone(),
                metrics: parts.metrics.clone(),
                archive: parts
                    .destinations
                    .archive()
                    .map(|archive| archive.told(parts.config.options)),
                views: Views::default(),
                live,
                body: Bodies::within(BodyLimits {
                    bytes: config.max_body,
                    ..BodyLimits::default()
                }),
                started: clock::boot_now(),
                window: parts.config.window,
                metrics_served: parts.config.metrics.is_some(),
                privileges: Some(parts.privileges.clone()),
                memory: Some(parts.memory.clone()),
            });
            self.api(api, config, feed)?;
        }
        if let Some(config) = &parts.config.metrics {
            self.metrics(parts.metrics, config);
        }
        Ok(())
    }

    /// Closes the ports and waits for running requests, a second at most.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn api(&self, api: Api, config: &api::Config, feed: &Feed) -> anyhow::Result<()> {
        let tls = match &config.tls {
            Some((cert, key)) => {
                let tls = Tls::load(cert.clone(), key.clone());
                Some(tls.context("the API's certificate cannot be used")?)
            }
            None => None,
        };
        let authorizer = Authorizer::open(config.auth.clone())?;
        let metrics = api.metrics.clone();
        let port = Port {
            name: "api",
            address: config.address,
            number: config.port,
            router: router(api, config, authorizer.clone()),
            tls: tls.clone(),
            stop: self.stop.clone(),
        };
        let (stop, feed) = (self.stop.clone(), feed.clone());
        if let Some(tls) = tls {
            self.tasks.spawn(tls.follow(stop.clone()));
        }
        self.tasks
            .spawn(async move { authorizer.watch(stop).await });
        self.tasks.spawn(async move {
            let tell = |health| announce(SourceName::Sidecar, clock::boot_now(), health, &feed);
            port.serve(Some(metrics), tell).await;
        });
        Ok(())
    }

    fn metrics(&self, metrics: &Metrics, config: &metrics::Config) {
        let port = Port {
            name: "metrics",
            address: config.address,
            number: config.port,
            router: metrics.router(&config.path),
            tls: None,
            stop: self.stop.clone(),
        };
        self.tasks.spawn(async move {
            let tell = |health| {
                if let Health::Failed(why) = health {
                    tracing::error!(%why, "metrics are not served");
                }
            };
            port.serve(None, tell).await;
        });
    }
}

struct Port {
    name: &'static str,
    address: Option<IpAddr>,
    number: u16,
    router: Router,
    tls: Option<Tls>,
    stop: CancellationToken,
}

impl Port {
    /// Serves until `stop`. `tell` hears once what keeps the port from being had, and when it is.
    async fn serve(self, metrics: Option<Metrics>, tell: impl Fn(Health)) {
        let address = self.address.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let mut failed = false;
        let listener = loop {
            match Listener::bind(address, self.number).await {
                Ok(listener) => break listener,
                Err(error) if !failed => {
                    failed = true;
                    tell(Health::Failed(format!("port {}: {error}", self.number)));
                }
                Err(_) => {}
            }
            let pause = tokio::time::sleep(AGAIN);
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        };
        if let Some(metrics) = metrics {
            metrics.read_connections(listener.connections());
        }
        tell(Health::Ok);
        let tls = self.tls.is_some();
        tracing::info!(port = self.number, tls, "{} is served", self.name);
        listener
            .serve(self.router, Limits::default(), self.tls, self.stop)
            .await;
    }
}
