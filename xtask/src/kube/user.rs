//! Somebody who talks to the API server: a kubeconfig, and kubectl with it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::exec;

/// How the API server is reached, whoever one is.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) authority: PathBuf,
    pub(super) kubectl: PathBuf,
    /// Where kubectl keeps what it has learned of the API.
    pub(super) home: PathBuf,
}

/// Somebody with a token.
#[derive(Clone, Debug)]
pub struct User {
    kubectl: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

impl User {
    /// Writes a kubeconfig with a token.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn new(address: &Address, kubeconfig: PathBuf, token: &str) -> Result<Self> {
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "blackbox",
            "clusters": [{"name": "blackbox", "cluster": {
                "server": address.url, "certificate-authority": address.authority}}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "blackbox", "context": {"cluster": "blackbox", "user": "user"}}],
        });
        // Renamed into place: whoever reads it while it changes reads one or the other.
        let part = kubeconfig.with_extension("part");
        fs::write(&part, text.to_string())
            .and_then(|()| fs::rename(&part, &kubeconfig))
            .with_context(|| kubeconfig.display().to_string())?;
        Ok(Self {
            kubectl: address.kubectl.clone(),
            home: address.home.clone(),
            kubeconfig,
        })
    }

    /// The file with address and token.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What kubectl writes to standard output.
    ///
    /// # Errors
    /// It fails: with its command line and what it says.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        self.feed(words, "")
    }

    /// The same, with a text on standard input.
    ///
    /// # Errors
    /// It fails: with its command line and what it says.
    pub fn feed(&self, words: &[&str], input: &str) -> Result<String> {
        let mut command = self.command(words);
        let line = exec::line(&command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| line.clone())?;
        let mut stdin = child.stdin.take().context("standard input is a pipe")?;
        // It may end without reading all of it, and then says why.
        stdin.write_all(input.as_bytes()).ok();
        drop(stdin);
        let output = child.wait_with_output().with_context(|| line.clone())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        exec::succeeded(&command, output.status).context(said.trim().to_owned())?;
        String::from_utf8(output.stdout).context(line)
    }

    /// What is at a path of the API.
    ///
    /// # Errors
    /// The API server refuses, or its answer is not JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        parse(&self.kubectl(&["get", "--raw", path])?)
    }

    /// POSTs an object to a path of the API; gives the answer.
    ///
    /// # Errors
    /// The API server refuses, or its answer is not JSON.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value> {
        parse(&self.feed(&["create", "--raw", path, "-f", "-"], &object.to_string())?)
    }

    /// PUTs an object to a path of the API; gives the answer.
    ///
    /// # Errors
    /// The API server refuses, or its answer is not JSON.
    pub fn replace(&self, path: &str, object: &Value) -> Result<Value> {
        parse(&self.feed(&["replace", "--raw", path, "-f", "-"], &object.to_string())?)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .args(words)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .env("HOME", &self.home);
        command
    }
}

fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).with_context(|| format!("not JSON: {text}"))
}
