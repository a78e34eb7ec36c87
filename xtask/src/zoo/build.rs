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
const TOOLS: [(Language, &str, &str); 6] = [
    (Language::C, "gcc", "gcc"),
    (Language::Cpp, "g++", "g++"),
    (Language::Go, "go", "golang-go"),
    (Language::Java, "javac", "default-jdk-headless"),
    (Language::Node, "node", "nodejs"),
    (Language::Python, "python3", "python3"),
];

/// `blackbox-daemon/tests/zoo` of this working copy.
pub(super) fn own_sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../blackbox-daemon/tests/zoo")
}

/// What was built, and where it runs.
pub(super) struct Programs {
    /// Where each case has its source.
    sources: PathBuf,
    binaries: PathBuf,
    /// Where each case has its working folder.
    pub(super) runs: PathBuf,
    python: PathBuf,
}

impl Programs {
    /// Installs what is missing and builds the programs of `cases`, which are in `sources`, and the init.
    ///
    /// # Errors
    /// A compiler cannot be had, or a program does not compile.
    pub(super) fn build(cases: &[Case], sources: PathBuf) -> Result<Self> {
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
            sources,
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
                .arg(own_sources().join("init/main.c")),
        )?;
        for case in cases {
            programs.compile(case)?;
        }
        Ok(programs)
    }

    fn compile(&self, case: &Case) -> Result<()> {
        let main = self.main(case)?;
        let binary = self.binaries.join(case.name);
        let mut command = match case.language {
            Language::C | Language::Cpp => {
                let compiler = if case.language == Language::C {
                    "gcc"
                } else {
                    "g++"
                };
                let mut command = Command::new(compiler);
                command.args(["-pthread", "-o"]).arg(binary);
                command.arg(main).args(case.flags);
                command
            }
            Language::Rust => {
                let mut command = Command::new("rustc");
                command.args(["--edition", "2021", "-C", "opt-level=1", "-g"]);
                command.args(case.flags).arg("-o").arg(binary).arg(main);
                command
            }
            Language::Go => {
                let mut command = Command::new("go");
                command.arg("build").args(case.flags).arg("-o");
                command.arg(binary).arg(main).env("GO111MODULE", "off");
                command
            }
            Language::Java => {
                let mut command = Command::new("javac");
                command.arg("-d").arg(binary).arg(main);
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
        let main = self.main(case)?;
        let binary = self.binaries.join(case.name);
        let flags = case.flags.iter().map(PathBuf::from);
        let mut words = Vec::new();
        if case.init {
            words.push(self.init());
        }
        match case.language {
            Language::C | Language::Cpp | Language::Rust | Language::Go => words.push(binary),
            Language::Java => {
                words.push(java()?);
                words.extend(flags);
                words.extend(["-cp".into(), binary, "Main".into()]);
            }
            Language::Node => {
                words.push(runtimes::find("node")?);
                words.extend(flags);
                words.push(main);
            }
            Language::Python => {
                words.push(self.python.clone());
                words.extend(flags);
                words.push(main);
            }
            Language::Shell => words.extend(["/bin/sh".into(), main]),
        }
        words.extend(case.arguments.iter().map(PathBuf::from));
        Ok(words)
    }

    fn main(&self, case: &Case) -> Result<PathBuf> {
        let folder = self.sources.join(case.name);
        let found = Language::find(&folder);
        let (_language, main) =
            found.with_context(|| format!("no program in {}", folder.display()))?;
        Ok(main)
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
