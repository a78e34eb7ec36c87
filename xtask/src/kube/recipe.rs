//! How the programs are made: Debian bookworm's source package `kubernetes`, its Go compiler, its etcd.
//!
//! Everything happens in one scratch folder, without root and without the network but for apt's downloads. The source
//! package is upstream's tree with its dependencies; one generated file is missing, so its generator is built first.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::apt::Apt;
use super::programs::VERSION;
use crate::exec::{self, step};

/// The compiler that this release was made with is gone; this one builds it, newer ones do not.
const PACKAGES: [&str; 3] = ["golang-1.19-go", "golang-1.19-src", "etcd-server"];
const COMPILER: &str = "usr/lib/go-1.19";
/// The tree, as its own imports call it.
const TREE: &str = "k8s.io/kubernetes";
/// Where types are that the API describes.
const DESCRIBED: [&str; 3] = ["pkg", "cmd", "staging/src/k8s.io"];
/// Folders with types of other programs than the API server.
const OTHERS: [&str; 3] = ["code-generator", "sample-apiserver", "testdata"];
const MARK: &str = "+k8s:openapi-gen=true";
/// Processes of the compiler at a time: whoever builds this has other things to do.
const JOBS: &str = "2";

/// Makes `etcd`, `kube-apiserver` and `kubectl` in `scratch`; gives the folder that has them and nothing else.
///
/// # Errors
/// A package cannot be had, or does not build.
pub(super) fn make(scratch: &Path) -> Result<PathBuf> {
    let bench = step(
        "kube: downloading the source, the compiler and etcd",
        || Bench::new(scratch),
    )?;
    let made = scratch.join("made");
    fs::create_dir(&made).with_context(|| made.display().to_string())?;
    let title = format!("kube: building kube-apiserver {VERSION}: about 5 minutes, once");
    step(&title, || {
        bench.describe()?;
        bench.build(&made)
    })?;
    let etcd = bench.tools.join("usr/bin/etcd");
    fs::copy(&etcd, made.join("etcd")).with_context(|| etcd.display().to_string())?;
    Ok(made)
}

/// The tree and the compiler, laid out as the compiler wants them.
struct Bench {
    scratch: PathBuf,
    /// Unpacked packages.
    tools: PathBuf,
    /// The tree, under the name of its imports.
    tree: PathBuf,
}

impl Bench {
    fn new(scratch: &Path) -> Result<Self> {
        let tools = scratch.join("tools");
        let sources = scratch.join("gopath/src");
        let tree = sources.join(TREE);
        for folder in [&tools, &tree] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let apt = Apt::new(scratch.join("apt"))?;
        apt.unpack(&PACKAGES, &tools)?;
        let files = apt.source("kubernetes")?;
        let end = format!("{VERSION}.orig.tar.gz");
        let archive = files
            .iter()
            .find(|file| file.to_string_lossy().ends_with(&end))
            .with_context(|| {
                format!("Debian bookworm has kubernetes {VERSION}; found: {files:?}")
            })?;
        exec::run(
            Command::new("tar")
                .args(["--strip-components=1", "-xzf"])
                .arg(archive)
                .arg("-C")
                .arg(&tree),
        )?;
        Ok(Self {
            scratch: scratch.to_owned(),
            tools,
            tree,
        })
    }

    /// Generates the description of the API that the source package lacks.
    fn describe(&self) -> Result<()> {
        let generator = self.scratch.join("openapi-gen");
        let mut build = self.go("build");
        exec::run(
            build
                .arg("-o")
                .arg(&generator)
                .arg("./vendor/k8s.io/kube-openapi/cmd/openapi-gen"),
        )?;
        let mut packages = Vec::new();
        for folder in DESCRIBED {
            described(&self.tree, &self.tree.join(folder), &mut packages)?;
        }
        packages.sort();
        let header = self.scratch.join("no-header");
        fs::write(&header, "").with_context(|| header.display().to_string())?;
        let mut generate = self.in_tree(Command::new(&generator));
        exec::run(
            generate
                .arg("--input-dirs")
                .arg(packages.join(","))
                .args(["--output-file-base", "zz_generated.openapi"])
                .args(["--output-package", &format!("{TREE}/pkg/generated/openapi")])
                .arg("--output-base")
                .arg(self.scratch.join("gopath/src"))
                .arg("--go-header-file")
                .arg(&header)
                // Names that break a rule of style: nobody reads it.
                .arg("--report-filename")
                .arg(self.scratch.join("violations")),
        )
    }

    fn build(&self, to: &Path) -> Result<()> {
        let mut command = self.go("build");
        exec::run(
            command
                .args(["-trimpath", "-ldflags", &version_flags()])
                .arg("-o")
                // A folder, if it ends like this.
                .arg(to.join(""))
                .args(["./cmd/kube-apiserver", "./cmd/kubectl"]),
        )
    }

    fn go(&self, task: &str) -> Command {
        let mut command = self.in_tree(Command::new(self.tools.join(COMPILER).join("bin/go")));
        command.args([task, "-p", JOBS, "-buildvcs=false"]);
        command
    }

    /// `command` in the tree, with nothing of the user's own Go.
    fn in_tree(&self, mut command: Command) -> Command {
        command
            .current_dir(&self.tree)
            .env("GOROOT", self.tools.join(COMPILER))
            .env("GOPATH", self.scratch.join("gopath"))
            .env("GOCACHE", self.scratch.join("gocache"))
            .env("GO111MODULE", "off")
            .env("GOPROXY", "off")
            .env("GOENV", "off")
            .env("GOFLAGS", "")
            .env("CGO_ENABLED", "0");
        command
    }
}

/// The version both programs say: clients refuse a server that says none.
fn version_flags() -> String {
    let (major, minor) = VERSION.split_once('.').unwrap_or((VERSION, ""));
    let minor = minor.split('.').next().unwrap_or_default();
    let mut flags = String::from("-s -w");
    for package in ["component-base/version", "client-go/pkg/version"] {
        let package = format!("{TREE}/vendor/k8s.io/{package}");
        flags.push_str(&format!(
            " -X {package}.gitVersion=v{VERSION} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        ));
    }
    flags
}

/// Adds the packages in `folder` and below that the API describes, by the names of their imports.
fn described(tree: &Path, folder: &Path, packages: &mut Vec<String>) -> Result<()> {
    let mut marked = false;
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !OTHERS.iter().any(|other| name == *other) {
                described(tree, &path, packages)?;
            }
        } else if !marked && path.extension().is_some_and(|kind| kind == "go") {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            marked = text.lines().any(is_mark);
        }
    }
    if marked {
        let relative = folder.strip_prefix(tree)?.display().to_string();
        // What is staged is imported as a dependency.
        let import = relative.replacen("staging/src/", "vendor/", 1);
        packages.push(format!("{TREE}/{import}"));
    }
    Ok(())
}

fn is_mark(line: &str) -> bool {
    line.strip_prefix("//")
        .is_some_and(|comment| comment.trim() == MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_packages_are_found_by_import() {
        let tree = tempfile::tempdir().unwrap();
        for (file, text) in [
            (
                "staging/src/k8s.io/api/core/v1/doc.go",
                "// +k8s:openapi-gen=true\n",
            ),
            (
                "staging/src/k8s.io/code-generator/x/doc.go",
                "// +k8s:openapi-gen=true\n",
            ),
            ("pkg/apis/abac/v0/doc.go", "package v0\n"),
        ] {
            let path = tree.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut packages = Vec::new();
        described(tree.path(), tree.path(), &mut packages).unwrap();
        assert_eq!(packages, ["k8s.io/kubernetes/vendor/k8s.io/api/core/v1"]);
    }

    #[test]
    fn both_halves_say_the_version() {
        let flags = version_flags();
        assert_eq!(flags.matches("gitVersion=v1.20.2").count(), 2, "{flags}");
        assert_eq!(flags.matches("gitMinor=20 ").count(), 1, "{flags}");
        assert!(flags.ends_with("gitMinor=20"), "{flags}");
    }
}
