//! A target: one destination, opened and ready to write. The one place that tells the kinds apart.

use super::inbox::Inbox;
use super::{DestinationConfig, Error, file, http, stdout};
use crate::clock;
use crate::durability::Durability;

/// What a write that succeeded has to say.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The document is safe, but something about it went wrong.
    pub(super) trouble: Option<Error>,
}

/// A destination, ready to write.
pub(super) enum Target {
    File(Box<file::Desk>),
    Stdout,
    Http(http::Endpoint),
}

impl Target {
    pub(super) fn open(config: DestinationConfig, durability: &Durability) -> Result<Self, Error> {
        match config {
            DestinationConfig::File(config) => {
                let desk = file::Desk::open(config, durability)?;
                Ok(Self::File(Box::new(desk)))
            }
            DestinationConfig::Stdout => Ok(Self::Stdout),
            DestinationConfig::Http(config) => Ok(Self::Http(http::Endpoint::open(config)?)),
        }
    }

    /// The destination's task: writes until its inbox is closed and empty.
    pub(super) async fn work(self, mut inbox: Inbox) {
        let endpoint = match self {
            Self::File(desk) => return desk.work(inbox).await,
            Self::Stdout => None,
            Self::Http(endpoint) => Some(endpoint),
        };
        while let Some((document, _room)) = inbox.next().await {
            let started = clock::boot_now();
            let result = match &endpoint {
                None => stdout::write(&document).await.map_err(Error::from),
                Some(endpoint) => endpoint.write(&document).await.map_err(Error::from),
            };
            let took = clock::boot_now().since(started);
            inbox.state.note(result.map(|()| Written::default()), took);
        }
    }
}
