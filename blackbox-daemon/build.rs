//! Embeds the kernel object that `cargo xtask build-ebpf` made: compresses it to `OUT_DIR/blackbox.o.zst`, a sixth of it.
//!
//! Reads `BLACKBOX_EBPF_OBJECT`, else `<target>/bpf/blackbox-<arch>.o`. Without an object it writes an empty file and
//! warns, so that the workspace checks and tests with no BPF toolchain; it never builds the object itself.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

const OBJECT_KEY: &str = "BLACKBOX_EBPF_OBJECT";
/// The highest of zstd's ordinary levels: it is compressed once.
const LEVEL: i32 = 19;
const SOURCES: [&str; 2] = ["../blackbox-ebpf", "../blackbox-common"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let embedded = out.join("blackbox.o.zst");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={OBJECT_KEY}");

    if let Some(chosen) = env::var_os(OBJECT_KEY) {
        let chosen = PathBuf::from(chosen);
        println!("cargo::rerun-if-changed={}", chosen.display());
        embed(&chosen, &embedded)
            .map_err(|error| format!("{OBJECT_KEY}={}: {error}", chosen.display()))?;
        return Ok(());
    }

    let built = built_object(&out)?;
    // While the object is missing this makes cargo run us again on each build: it is seen once it appears.
    println!("cargo::rerun-if-changed={}", built.display());
    if !built.is_file() {
        println!(
            "cargo::warning=the daemon will run without kernel programs: build them with `cargo xtask build-ebpf`"
        );
        fs::write(&embedded, [])?;
        return Ok(());
    }
    for folder in SOURCES.map(Path::new) {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    if newest_source()? > fs::metadata(&built)?.modified()? {
        println!(
            "cargo::warning=the kernel programs changed after they were built: build them with `cargo xtask build-ebpf`"
        );
    }
    embed(&built, &embedded)?;
    Ok(())
}

/// An empty object stays empty: that is how the daemon knows that it has none.
fn embed(object: &Path, embedded: &Path) -> io::Result<()> {
    let object = fs::read(object)?;
    let compressed = match object.is_empty() {
        true => object,
        false => zstd::encode_all(&*object, LEVEL)?,
    };
    fs::write(embedded, compressed)
}

/// Where `cargo xtask build-ebpf` puts the object for the machine this daemon is built for.
fn built_object(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    // Cargo marks the root of every target directory with this file, and with `--target` the triple's folder too.
    let is_marked = |folder: &Path| folder.join("CACHEDIR.TAG").is_file();
    let marked = out
        .ancestors()
        .find(|folder| is_marked(folder))
        .ok_or_else(|| format!("no CACHEDIR.TAG above {}: set {OBJECT_KEY}", out.display()))?;
    let target = marked
        .parent()
        .filter(|folder| is_marked(folder))
        .unwrap_or(marked);
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    Ok(target.join("bpf").join(format!("blackbox-{arch}.o")))
}

/// When the newest file that the object is made from was last changed.
fn newest_source() -> io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for folder in SOURCES.map(Path::new) {
        newest = newest.max(fs::metadata(folder.join("Cargo.toml"))?.modified()?);
        for file in fs::read_dir(folder.join("src"))? {
            newest = newest.max(file?.metadata()?.modified()?);
        }
    }
    Ok(newest)
}
