//! The files whose code a process ran, found again by their build ids.
//!
//! Reads the executable and the libraries it needs below some roots; makes modules: a file, and where it was loaded. A
//! file is taken only if its build id is the record's. Exception: the executable at its path in the process's own root,
//! where no record says what its build id was; then a note says so. No link leads out of a root (`openat2(2)`,
//! `RESOLVE_IN_ROOT`), nothing but regular files is opened, and how much is looked at is bounded.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};

use super::elf::Elf;
use crate::record::{CrashStack, FilePlace, RawFrame};

/// Most bytes of a file, and most files that are opened.
const MAX_SIZE: i64 = 1 << 30;
const MAX_FILES: usize = 64;
/// Where libraries are (ld.so(8), and multiarch directories of Debian).
const DIRECTORIES: [&str; 9] = [
    "/lib",
    "/usr/lib",
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/local/lib",
];

/// A build id as records have it.
pub(super) type BuildId = [u8; 20];

/// A file, and where it was.
#[derive(Debug)]
pub(super) struct Module {
    pub elf: Elf,
    /// As the process saw it.
    pub path: String,
    /// Its address in the process less that in the file.
    pub bias: u64,
    /// Its build id is the one that the kernel saw.
    pub checked: bool,
}

impl Module {
    /// An address of the process, as the file counts.
    pub(super) fn own(&self, address: u64) -> u64 {
        address.wrapping_sub(self.bias)
    }

    /// The build id that it has.
    pub(super) fn id(&self) -> Option<BuildId> {
        self.elf.build_id.as_deref().map(padded)
    }

    fn has_code(&self, address: u64) -> bool {
        self.elf.has_code(self.own(address))
    }
}

/// The modules of one process that were found.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub list: Vec<Module>,
    /// What was not, a sentence each.
    pub notes: Vec<String>,
}

impl Modules {
    /// Looks for the files that a stack passes through. The first root is the process's own.
    pub(super) fn find(stack: &CrashStack, exe: Option<&str>, roots: &[PathBuf]) -> Self {
        let mut modules = Self::default();
        let mut wanted: HashSet<BuildId> = stack
            .frames
            .iter()
            .filter_map(|frame| Some(frame.file?.build_id))
            .collect();
        match exe {
            Some(exe) if exe.starts_with('/') => {
                let mut files = MAX_FILES;
                for (index, root) in roots.iter().enumerate() {
                    modules.below(root, exe, index == 0, stack, &mut wanted, &mut files);
                }
            }
            _ => modules
                .notes
                .push("the path of its executable was not recorded".to_owned()),
        }
        let mut missing: Vec<String> = wanted
            .iter()
            .map(|id| {
                format!(
                    "the file with build id {} was not found on this node",
                    hex(id)
                )
            })
            .collect();
        missing.sort_unstable();
        modules.notes.append(&mut missing);
        modules
    }

    /// The executable below one root, and the libraries that it needs, and those that these need.
    fn below(
        &mut self,
        root: &Path,
        exe: &str,
        own: bool,
        stack: &CrashStack,
        wanted: &mut HashSet<BuildId>,
        files: &mut usize,
    ) {
        let mut seen = HashSet::new();
        // Alternatives: the first that exists is what the loader takes.
        let mut next = VecDeque::from([vec![exe.to_owned()]]);
        let mut first = true;
        while let Some(paths) = next.pop_front() {
            let mut found = None;
            for path in paths {
                if *files > 0
                    && let Some(elf) = look(root, &path)
                {
                    found = Some((path, elf));
                    break;
                }
            }
            let executable = std::mem::take(&mut first);
            let Some((path, elf)) = found else {
                continue;
            };
            *files -= 1;
            for name in &elf.needed {
                if seen.insert(name.clone()) {
                    next.push_back(candidates(name, &path, &elf.directories));
                }
            }
            let id = elf.build_id.as_deref().map(padded);
            if let Some(id) = id
                && let Some(bias) = bias_of(&elf, &id, &stack.frames)
            {
                if wanted.remove(&id) {
                    self.add(elf, path, bias, true);
                }
            } else if executable && own {
                self.unchecked(elf, path, stack);
            }
            if wanted.is_empty() {
                return;
            }
        }
    }

    fn add(&mut self, elf: Elf, path: String, bias: u64, checked: bool) {
        self.list.push(Module {
            elf,
            path,
            bias,
            checked,
        });
    }

    /// The executable, which no frame names: loaded where the file says, or where the record says that its text began.
    fn unchecked(&mut self, elf: Elf, path: String, stack: &CrashStack) {
        let code = elf.code();
        let bias = match (stack.start_code, code) {
            (Some(start), Some(code)) => start.wrapping_sub(code),
            (None, Some(_)) if elf.fixed => 0,
            _ => return,
        };
        // Another page offset, another place, or another file's frame where its code would be: it is another file.
        let another = bias & 0xfff != 0
            || (elf.fixed && bias != 0)
            || stack
                .frames
                .iter()
                .any(|frame| frame.file.is_some() && elf.has_code(frame.ip.wrapping_sub(bias)));
        if !another {
            self.notes.push(format!(
                "{path} is what is at its path now; no record says that this is the file that ran"
            ));
            self.add(elf, path, bias, false);
        }
    }

    /// The module whose code is at an address.
    pub(super) fn at(&self, address: u64) -> Option<usize> {
        self.list.iter().position(|module| module.has_code(address))
    }
}

/// Where a file was, by the frames that are in it.
fn bias_of(elf: &Elf, id: &BuildId, frames: &[RawFrame]) -> Option<u64> {
    frames.iter().find_map(|frame| {
        let FilePlace { build_id, offset } = frame.file?;
        // A return address may be one past the end.
        let address = || elf.address_of(offset.checked_sub(1)?)?.checked_add(1);
        let address = elf.address_of(offset).or_else(address)?;
        (build_id == *id).then(|| frame.ip.wrapping_sub(address))
    })
}

/// Where the loader would look for a library (ld.so(8)).
fn candidates(name: &str, by: &str, directories: &[String]) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let origin = by.rsplit_once('/').map_or("", |(origin, _)| origin);
    let own = directories.iter().map(|directory| {
        directory
            .replace("$ORIGIN", origin)
            .replace("${ORIGIN}", origin)
    });
    own.chain(DIRECTORIES.map(str::to_owned))
        .map(|directory| format!("{directory}/{name}"))
        .collect()
}

/// Opens a regular file below a root, and reads what it says of itself.
fn look(root: &Path, path: &str) -> Option<Elf> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(root, flags, Mode::empty()).ok()?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // To open a device can do something, so nothing is opened before it is known to be a file.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let place = openat2(&root, path, flags, Mode::empty(), resolve).ok()?;
    let stat = fstat(&place).ok()?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !regular || stat.st_size > MAX_SIZE {
        return None;
    }
    Elf::read(File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).ok()?).ok()
}

fn padded(id: &[u8]) -> BuildId {
    let mut padded = BuildId::default();
    padded[..id.len()].copy_from_slice(id);
    padded
}

/// In hexadecimal, without the zeros that a shorter one (of 8 or 16 bytes) was filled up with.
pub(super) fn hex(id: &BuildId) -> String {
    let ends = [8, 16]
        .into_iter()
        .find(|end| id[*end..].iter().all(|byte| *byte == 0));
    let kept = &id[..ends.unwrap_or(id.len())];
    kept.iter().map(|byte| format!("{byte:02x}")).collect()
}
