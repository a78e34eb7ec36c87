//! Who calls, and what they may do.

use std::fmt;

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
