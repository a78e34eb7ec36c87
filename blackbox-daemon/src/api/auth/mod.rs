//! Who calls, and what they may do.
//!
//! Reads `Authorization: Bearer …`, makes a [`Caller`]: the holder of a key, or a pod with its own token. No request
//! passes without one. Refusals contain v1's `Unauthorized`; no key and no token is ever logged or answered.

pub mod keys;
pub mod tokens;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use self::keys::{Keys, sha256};
use self::tokens::jwt::Malformed;
use self::tokens::{Refusal, Tokens};
use super::{ApiError, Code};

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Submit telemetry and incidents.
    Telemetry,
    /// Read the window, reports and the buffer's state.
    Read,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope, in the order messages list them.
    pub const ALL: [Self; 3] = [Self::Telemetry, Self::Read, Self::Admin];

    /// The name used in key files and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The pod that a token proves its bearer to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProvenPod {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl fmt::Display for ProvenPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}/{}", self.namespace, self.name)
    }
}

/// An authenticated caller. A request's extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The key's name, or `pod <namespace>/<name>`: what rate limits and logs go by. Never the key.
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `Some`: whatever it submits must be about this pod.
    pub pod: Option<ProvenPod>,
}

impl Caller {
    /// Whether it may do what needs `scope`.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

/// Refuses a caller that lacks `scope`.
///
/// # Errors
/// 403, naming the scope needed and those held.
pub fn require(caller: &Caller, scope: Scope) -> Result<(), ApiError> {
    if caller.may(scope) {
        return Ok(());
    }
    let held: Vec<&str> = caller.scopes.iter().map(|scope| scope.name()).collect();
    Err(ApiError::new(
        Code::Forbidden,
        format!(
            "Forbidden: this needs the scope {scope}; {} has: {}",
            caller.name,
            held.join(", ")
        ),
    ))
}

/// Refuses a pod that speaks about another. Holders of a key may speak about all.
///
/// # Errors
/// 403, naming the pod that the token proves.
pub fn may_speak_for(caller: &Caller, namespace: &str, pod: &str) -> Result<(), ApiError> {
    match &caller.pod {
        Some(own) if own.namespace != namespace || own.name != pod => Err(ApiError::new(
            Code::Forbidden,
            format!("Forbidden: the token is that of {own}, the body is about another pod"),
        )),
        _ => Ok(()),
    }
}

/// The credentials that are accepted. With none of them every request is refused.
#[derive(Clone, Default)]
pub struct Config {
    /// `BLACKBOX_API_KEY`: the caller [`keys::DEFAULT`], who may do everything.
    pub key: Option<String>,
    /// `BLACKBOX_API_KEYS_FILE`: named keys, read again when the file changes.
    pub keys_file: Option<PathBuf>,
    /// `Some`: pods may speak with their own tokens.
    pub tokens: Option<tokens::Config>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("key", &self.key.as_ref().map(|_| "…"))
            .field("keys_file", &self.keys_file)
            .field("tokens", &self.tokens)
            .finish()
    }
}

/// Credentials that cannot be checked as configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("BLACKBOX_API_KEY is empty; set it to a secret or leave it unset")]
    EmptyKey,
    #[error(transparent)]
    Keys(#[from] keys::file::Error),
    #[error(transparent)]
    Tokens(#[from] tokens::Error),
}

/// Tells who calls. Clones share their keys.
#[derive(Clone)]
pub struct Authorizer {
    keys: Arc<Keys>,
    tokens: Option<Arc<Tokens>>,
}

impl Authorizer {
    /// Reads the key file and the API server's CA; asks nobody yet.
    ///
    /// # Errors
    /// One of them cannot be used: a wrong configuration.
    pub fn open(config: Config) -> Result<Self, Error> {
        if config.key.as_ref().is_some_and(String::is_empty) {
            return Err(Error::EmptyKey);
        }
        let keys = Keys::open(config.key.as_deref(), config.keys_file)?;
        let tokens = config.tokens.as_ref().map(Tokens::open).transpose()?;
        Ok(Self {
            keys: Arc::new(keys),
            tokens: tokens.map(Arc::new),
        })
    }

    /// Reads the key file again whenever it changes, until `stop`. Ends at once without a file.
    pub async fn watch(&self, stop: CancellationToken) {
        Arc::clone(&self.keys).watch(stop).await;
    }

    /// Who sent these headers.
    ///
    /// # Errors
    /// 401 without a valid credential; 503 when a pod's token cannot be checked now.
    pub async fn authorize(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let Some(header) = sent.next() else {
            return Err(self.refusal(
                Code::AuthenticationRequired,
                "send the header `Authorization: Bearer <key>`",
            ));
        };
        let wrong = || self.refusal(Code::InvalidApiKey, "the key is not valid");
        // With two, what a proxy checked may be the other one.
        if sent.next().is_some() {
            return Err(wrong());
        }
        let credential = header.as_bytes().strip_prefix(b"Bearer ");
        let credential = credential.ok_or_else(wrong)?;
        let digest = sha256(credential);
        if let Some(caller) = self.keys.find(&digest) {
            return Ok(caller);
        }
        let tokens = self.tokens.as_ref().ok_or_else(wrong)?;
        match tokens.prove(credential, &digest).await {
            Ok(caller) => Ok(caller),
            // Somebody's wrong key.
            Err(Refusal::Malformed(Malformed::Shape)) => Err(wrong()),
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn refusal(&self, code: Code, what: &str) -> ApiError {
        let what = match self.tokens.is_none() && self.keys.is_empty() {
            true => {
                "no credential is configured, so nobody may call; set BLACKBOX_API_KEY or \
                 BLACKBOX_API_KEYS_FILE"
            }
            false => what,
        };
        ApiError::new(code, format!("Unauthorized: {what}"))
    }
}

/// The layer that lets only callers pass, for `axum::middleware::from_fn_with_state`. Handlers find the [`Caller`]
/// in the request's extensions.
///
/// # Errors
/// As [`Authorizer::authorize`].
pub async fn authenticate(
    State(authorizer): State<Authorizer>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = authorizer.authorize(request.headers()).await?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests;
