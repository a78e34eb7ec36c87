//! The API's connections, as its listener counts them.

use super::families::{Families, number};
use crate::api::server::{Connections, Refusal};

pub(super) fn collect(families: &mut Families, connections: &Connections) {
    families
        .gauge(
            "blackbox_api_active_connections",
            "Connections of clients of the API.",
        )
        .add(&[], number(connections.open()));
    families
        .counter(
            "blackbox_api_connections_total",
            "Connections the API has accepted.",
        )
        .add(&[], number(connections.accepted_total()));
    let mut refused = families.counter(
        "blackbox_api_connections_refused_total",
        "Connections closed because there were too many.",
    );
    for cause in Refusal::ALL {
        let count = number(connections.refused_total(cause));
        refused.add(&[("cause", cause.name())], count);
    }
    families
        .counter(
            "blackbox_api_handshake_failures_total",
            "TLS handshakes that failed or took too long.",
        )
        .add(&[], number(connections.handshake_failures_total()));
    families
        .counter(
            "blackbox_api_connections_timed_out_total",
            "Connections closed because the client was too slow.",
        )
        .add(&[], number(connections.timed_out_total()));
}
