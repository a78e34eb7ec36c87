//! Finds a compiler that can build the kernel programs: one whose library source is installed, for
//! `-Z build-std=core`, and whose LLVM is not newer than the BPF linker's.
//!
//! Looks at the compiler in use, at rustup's other toolchains, and at Debian's. Installs nothing.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exec;

/// The LLVM that [`crate::setup`] builds bpf-linker with: it reads no bitcode of a newer one.
pub(crate) const LLVM_MAJOR: u32 = 22;

/// The oldest compiler the workspace builds with (`rust-version`), as (major, minor).
const OLDEST: (u32, u32) = (1, 95);

/// A compiler with its library source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    pub(crate) rustc: PathBuf,
    /// The cargo that comes with it; without one, the cargo that started us does.
    pub(crate) cargo: PathBuf,
    release: String,
    sysroot: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rustc {} of {}", self.release, self.sysroot.display())
    }
}

/// The first compiler that will do, in the order of [`sysroots`].
pub(crate) fn find() -> Option<Toolchain> {
    sysroots().into_iter().find_map(|sysroot| inspect(&sysroot))
}

/// Whether the compiler in use lacks nothing but its library source: then rustup may have it.
pub(crate) fn lacks_only_source() -> bool {
    let Some(sysroot) = sysroot_of("rustc") else {
        return false;
    };
    !has_source(&sysroot) && version_of(&sysroot.join("bin/rustc")).is_some()
}

fn inspect(sysroot: &Path) -> Option<Toolchain> {
    let rustc = sysroot.join("bin/rustc");
    if !has_source(sysroot) {
        return None;
    }
    let release = version_of(&rustc)?;
    let own_cargo = sysroot.join("bin/cargo");
    let cargo = if own_cargo.is_file() {
        own_cargo
    } else {
        env::var_os("CARGO").unwrap_or("cargo".into()).into()
    };
    Some(Toolchain {
        rustc,
        cargo,
        release,
        sysroot: sysroot.to_owned(),
    })
}

fn has_source(sysroot: &Path) -> bool {
    sysroot
        .join("lib/rustlib/src/rust/library/core/src/lib.rs")
        .is_file()
}

/// Where compilers may be: the one in use, Debian's, then the rest of rustup's, each once.
fn sysroots() -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    sysroot_of("rustc")
        .into_iter()
        .chain([PathBuf::from("/usr")])
        .chain(rustup_toolchains())
        .filter(|sysroot| seen.insert(sysroot.clone()))
        .collect()
}

fn sysroot_of(rustc: &str) -> Option<PathBuf> {
    let output = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim()))
}

fn rustup_toolchains() -> Vec<PathBuf> {
    let home = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".rustup")));
    let Some(folders) = home.and_then(|home| home.join("toolchains").read_dir().ok()) else {
        return Vec::new();
    };
    let mut toolchains: Vec<PathBuf> = folders.flatten().map(|folder| folder.path()).collect();
    toolchains.sort();
    toolchains
}

/// The release of a compiler that will do, e.g. `1.96.0`.
fn version_of(rustc: &Path) -> Option<String> {
    if !rustc.is_file() {
        return None;
    }
    usable_release(&exec::read(Command::new(rustc).arg("-vV")).ok()?)
}

/// The release in the output of `rustc -vV`, if it is new enough and its LLVM old enough.
fn usable_release(version: &str) -> Option<String> {
    let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name));
    let release = field("release: ")?;
    let llvm = leading_numbers(field("LLVM version: ")?);
    (leading_numbers(release) >= OLDEST && llvm.0 <= LLVM_MAJOR).then(|| release.to_owned())
}

/// The first two numbers of a version, 0 for one that is not there.
pub(crate) fn leading_numbers(version: &str) -> (u32, u32) {
    let mut numbers = version
        .split(|character: char| !character.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_must_be_new_and_its_llvm_old_enough() {
        let version =
            |release, llvm| format!("rustc x\nrelease: {release}\nLLVM version: {llvm}\n");
        assert_eq!(
            usable_release(&version("1.96.0", "22.1.8")),
            Some("1.96.0".to_owned())
        );
        assert_eq!(usable_release(&version("1.98.0-nightly", "23.1.0")), None);
        assert_eq!(usable_release(&version("1.85.0", "19.1.7")), None);
        assert_eq!(usable_release("rustc 1.96.0"), None);
    }

    #[test]
    fn versions_compare_by_number() {
        assert_eq!(leading_numbers("0.13.0"), (0, 13));
        assert!(leading_numbers("1.100.0") > leading_numbers("1.99.9"));
        assert_eq!(leading_numbers("7"), (7, 0));
    }

    #[test]
    fn source_is_found_by_its_file() {
        let root = tempfile::tempdir().unwrap();
        assert!(!has_source(root.path()));
        let source = root.path().join("lib/rustlib/src/rust/library/core/src");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::write(source.join("lib.rs"), "").unwrap();
        assert!(has_source(root.path()));
    }
}
