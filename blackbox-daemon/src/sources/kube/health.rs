//! How the kube source fares, in words: what is not followed or not remembered, and why.

use crate::record::Health;

/// What is wrong at the moment. A follower that has not said anything yet is `None`.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    pub(super) pods: Option<Result<(), String>>,
    pub(super) pod_events: Option<Result<(), String>>,
    pub(super) node_events: Option<Result<(), String>>,
    /// The file of what was recorded.
    pub(super) store: Option<String>,
    /// The pods were listed once.
    pub(super) listed: bool,
}

impl Troubles {
    /// The source's state.
    pub(super) fn health(&self) -> Health {
        match &self.pods {
            None => return Health::Degraded("the API server has not answered yet".to_owned()),
            Some(Err(why)) if self.listed => {
                return Health::Failed(format!("{why}; what is known of pods is old"));
            }
            Some(Err(why)) => {
                return Health::Failed(format!("{why}; names come from cgroup paths"));
            }
            Some(Ok(())) => {}
        }
        let store = self
            .store
            .as_ref()
            .map(|why| format!("what was recorded cannot be remembered beyond a restart: {why}"));
        let events = [&self.pod_events, &self.node_events];
        let mut events = events.into_iter().flatten();
        let events = events.find_map(|state| state.as_ref().err());
        let events = events.map(|why| format!("the cluster's events are not followed: {why}"));
        match store
            .into_iter()
            .chain(events)
            .reduce(|a, b| format!("{a}; {b}"))
        {
            None => Health::Ok,
            Some(why) => Health::Degraded(why),
        }
    }
}
