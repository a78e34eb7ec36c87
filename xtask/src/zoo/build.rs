//! Builds the zoo's programs under `target/zoo/bin`, and says how each is started.
//!
//! Compilers and runtimes come from `PATH`; what is missing is installed from Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cases::{Case, Language};
use crate::cargo::target_directory;
use crate::exec;
use crate::runtimes;
use crate::setup::install;

/// The program that must be there, and the Debian package that has it.
const TOOLS: [(Language, &str, &str); 5] = [
    (Language::C, "gcc", "gcc"),
    (Language::Go, "go", "golang-go"),
    (Language::Java, "javac", "default-jdk-headless"),
    (Language::Node, "node", "nodejs"),
    (Language::Python, "python3", "python3"),
];

/// `blackbox-daemon/tests/zoo` of this working copy.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../blackbox-daemon/tests/zoo")
}

/// What was built, and where it runs.
pub(super) struct Programs {
    binaries: PathBuf,
    /// Where each case has its working folder.
    pub(super) runs: PathBuf,
    python: PathBuf,
}

impl Programs {
    /// Installs what is missing and builds the programs of `cases`, and the init.
    ///
    /// # Errors
    /// A compiler cannot be had, or a program does not compile.
    pub(super) fn build(cases: &[Case]) -> Result<Self> {
        let missing: Vec<String> = TOOLS
            .iter()
            .filter(|(language, program, _package)| {
                cases.iter().any(|case| case.language == *language)
                    && runtimes::find(program).is_err()
            })
            .map(|(_language, _program, package)| (*package).to_owned())
            .collect();
        install(&missing)?;
        let root = target_directory()?.join("zoo");
        let programs = Self {
            binaries: root.join("bin"),
            runs: root.join("run"),
            python: python().unwrap_or_else(|_missing| "python3".into()),
        };
        for folder in [&programs.binaries, &programs.runs] {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        exec::run(
            Command::new("gcc")
                .args(["-O2", "-o"])
                .arg(programs.init())
                .arg(sources().join("init/main.c")),
        )?;
        for case in cases {
            programs.compile(case)?;
        }
        Ok(programs)
    }

    fn compile(&self, case: &Case) -> Result<()> {
        let folder = sources().join(case.name);
        let binary = self.binaries.join(case.name);
        let mut command = match case.language {
            Language::C => {
                let mut command = Command::new("gcc");
                command.args(case.flags).args(["-pthread", "-o"]);
                command.arg(binary).arg(folder.join("main.c"));
                command
            }
            Language::Rust => {
                let mut command = Command::new("rustc");
                command.args(["--edition", "2021", "-C", "opt-level=1", "-g", "-o"]);
                command.arg(binary).arg(folder.join("main.rs"));
                command
            }
            Language::Go => {
                let mut command = Command::new("go");
                command.args(["build", "-o"]).arg(binary);
                command
                    .arg(folder.join("main.go"))
                    .env("GO111MODULE", "off");
                command
            }
            Language::Java => {
                let mut command = Command::new("javac");
                command.arg("-d").arg(binary).arg(folder.join("Main.java"));
                command
            }
            Language::Node | Language::Python | Language::Shell => return Ok(()),
        };
        exec::run(&mut command)
    }

    /// The program and arguments of a case, without those that are known only when it is run.
    ///
    /// # Errors
    /// Its runtime is missing.
    pub(super) fn words(&self, case: &Case) -> Result<Vec<PathBuf>> {
        let folder = sources().join(case.name);
        let binary = self.binaries.join(case.name);
        let flags = case.flags.iter().map(PathBuf::from);
        let mut words = Vec::new();
        if case.init {
            words.push(self.init());
        }
        match case.language {
            Language::C | Language::Rust | Language::Go => words.push(binary),
            Language::Java => {
                words.push(java()?);
                words.extend(flags);
                words.extend(["-cp".into(), binary, "Main".into()]);
            }
            Language::Node => {
                words.push(runtimes::find("node")?);
                words.extend(flags);
                words.push(folder.join("main.mjs"));
            }
            Language::Python => words.extend([self.python.clone(), folder.join("main.py")]),
            Language::Shell => words.extend(["/bin/sh".into(), folder.join("main.sh")]),
        }
        words.extend(case.arguments.iter().map(PathBuf::from));
        Ok(words)
    }

    fn init(&self) -> PathBuf {
        self.binaries.join("zoo-init")
    }
}

/// The interpreter itself: what `PATH` has may be a script that looks for it.
fn python() -> Result<PathBuf> {
    let mut command = Command::new(runtimes::find("python3")?);
    let path = exec::read(command.args(["-c", "import sys; print(sys.executable)"]))?;
    Ok(path.trim().into())
}

/// The machine of the compiler that was found.
fn java() -> Result<PathBuf> {
    let compiler = fs::canonicalize(runtimes::find("javac")?)?;
    Ok(compiler.with_file_name("java"))
}
