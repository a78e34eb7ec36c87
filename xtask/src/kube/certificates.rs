//! The keys of one cluster: a CA, the API server's certificate, and the key that signs service-account tokens.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Files in PEM.
#[derive(Clone, Debug)]
pub(super) struct Certificates {
    /// What clients trust.
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    /// Signs and verifies service-account tokens.
    pub(super) accounts: PathBuf,
    pub(super) accounts_public: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`, for a server on loopback.
    ///
    /// # Errors
    /// They cannot be made or written.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut authority.distinguished_name;
        name.push(DnType::CommonName, "BlackBox development cluster");
        let authority_key = KeyPair::generate()?;
        let authority_certificate = authority.self_signed(&authority_key)?;
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"];
        let server = CertificateParams::new(names.map(str::to_owned))?;
        let server_key = KeyPair::generate()?;
        let server = server.signed_by(&server_key, &Issuer::new(authority, authority_key))?;
        let accounts = KeyPair::generate()?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())?;
            Ok::<_, anyhow::Error>(path)
        };
        Ok(Self {
            authority: write("ca.crt", authority_certificate.pem())?,
            certificate: write("server.crt", server.pem())?,
            key: write("server.key", server_key.serialize_pem())?,
            accounts: write("accounts.key", accounts.serialize_pem())?,
            accounts_public: write("accounts.pub", accounts.public_key_pem())?,
        })
    }
}
