//! A target: one destination, opened and ready to write. The one place that tells the kinds apart.

use super::{DestinationConfig, Document, Error, file, http, stdout};

/// What a write that succeeded has to say.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The document is safe, but something after it went wrong.
    pub(super) trouble: Option<Error>,
}

/// A destination, ready to write.
pub(super) enum Target {
    File(file::Directory),
    Stdout,
    Http(http::Endpoint),
}

impl Target {
    pub(super) fn open(config: DestinationConfig) -> Result<Self, Error> {
        match config {
            DestinationConfig::File(config) => Ok(Self::File(file::Directory::open(config)?)),
            DestinationConfig::Stdout => Ok(Self::Stdout),
            DestinationConfig::Http(config) => Ok(Self::Http(http::Endpoint::open(config)?)),
        }
    }

    pub(super) async fn write(&self, document: &Document) -> Result<Written, Error> {
        match self {
            Self::File(directory) => Ok(Written {
                trouble: directory.write(document).await?.map(Error::File),
            }),
            Self::Stdout => {
                stdout::write(document).await?;
                Ok(Written::default())
            }
            Self::Http(endpoint) => {
                endpoint.write(document).await?;
                Ok(Written::default())
            }
        }
    }
}
