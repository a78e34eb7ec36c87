//! `cargo xtask manifests`: writes `deployments/kubernetes/blackbox.yaml`, the kustomize base in one file.
//!
//! The base's files are put one after the other as they are, so that their comments come along. Nothing else in the base's
//! kustomization may change them; a test compares the result with what kustomize makes of it.
#![expect(clippy::print_stderr, reason = "says what it wrote")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::workspace_root;

const BASE: &str = "deployments/kustomize/base";
const PLAIN: &str = "deployments/kubernetes/blackbox.yaml";

const HEAD: &str = "\
# BlackBox for Kubernetes, in one file. Put in a key of your own and the name of your image, then
#
#   kubectl apply --filename blackbox.yaml
#
# docs/deploy.md says more, and how to upgrade from v1. Made from deployments/kustomize/base by `cargo xtask manifests`:
# change it there.
";

/// `cargo xtask manifests`.
#[derive(clap::Args, Debug, Default)]
pub struct Options {
    /// Write nothing; fail if the file is not current.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read or written, or with `--check` the manifest is not current.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (path, text) = (workspace_root().join(PLAIN), plain()?);
    if options.check {
        check()?;
        return Ok(ExitCode::SUCCESS);
    }
    let changed = fs::read_to_string(&path).ok().as_deref() != Some(&text);
    if changed {
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    let state = if changed { "written" } else { "unchanged" };
    eprintln!("manifests: {PLAIN} ({state})");
    Ok(ExitCode::SUCCESS)
}

/// Compares the manifest with the base.
///
/// # Errors
/// It is not current, or a file cannot be read.
pub fn check() -> Result<()> {
    ensure!(
        read(PLAIN.into())? == plain()?,
        "{PLAIN} is not what {BASE} says: run `cargo xtask manifests`"
    );
    Ok(())
}

/// What the manifest should say.
///
/// # Errors
/// A file of the base cannot be read.
pub fn plain() -> Result<String> {
    let base = PathBuf::from(BASE);
    let mut text = HEAD.to_owned();
    for name in resources(&read(base.join("kustomization.yaml"))?) {
        text.push_str("---\n");
        text.push_str(&read(base.join(name))?);
    }
    Ok(text)
}

/// The files a kustomization names, in its order.
fn resources(kustomization: &str) -> Vec<&str> {
    kustomization
        .lines()
        .skip_while(|line| *line != "resources:")
        .skip(1)
        .map_while(|line| line.strip_prefix("  - "))
        .collect()
}

fn read(path: PathBuf) -> Result<String> {
    fs::read_to_string(workspace_root().join(&path)).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_read_in_order() {
        let text =
            "kind: Kustomization\nresources:\n  - b.yaml\n  - a.yaml\nimages:\n  - name: x\n";
        assert_eq!(resources(text), ["b.yaml", "a.yaml"]);
        assert!(resources("kind: Kustomization\n").is_empty());
    }

    #[test]
    fn the_manifest_is_current() {
        check().unwrap();
    }
}
