//! What `deployments/` installs in a cluster: the plain manifest, the kustomizations and the Helm chart say the same, say
//! it in Kubernetes' words, and ask for no more than the daemon needs.
//!
//! Rendered by real `kubectl kustomize` and `helm`, which `cargo xtask setup` provides.

mod agree;
mod compose;
mod daemon;
mod dockerfile;
mod monitor;
mod objects;
mod privileges;
mod rights;
mod strict;
