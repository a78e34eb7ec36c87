//! What an ELF file says of itself: where it is loaded, its build id, what it needs, where its sections are.
//!
//! Reads a file that a container may have made, and may change meanwhile: every read is bounded and copied (a mapping
//! of a file that is cut short would kill the reader), and no number in it is believed. 64 bits, little-endian, x86-64
//! and arm64 only (System V ABI, "Object Files"; Linux `elf.h`).

use std::fs::File;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::FileExt as _;

/// Most bytes of a table, a note or a dynamic section.
const TABLE: u64 = 4 << 20;
/// Most libraries and directories that one file names, and most bytes of such a name.
const MAX_NAMES: usize = 64;
const MAX_NAME: u64 = 256;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const NT_GNU_BUILD_ID: u32 = 3;
/// Bytes of a program header and of a section header.
const PROGRAM_HEADER: u64 = 56;
pub(super) const SECTION_HEADER: u64 = 64;

/// Whose instructions it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    X86,
    Arm,
}

/// A part of the file that is mapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub offset: u64,
    pub address: u64,
    pub in_file: u64,
    pub in_memory: u64,
    pub executable: bool,
}

/// A section: its name, and where it is in memory and in the file.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub name: String,
    pub address: u64,
    pub offset: u64,
    pub size: u64,
    /// It takes no room in the file.
    pub empty: bool,
}

/// A file that has been looked at.
#[derive(Debug)]
pub(super) struct Elf {
    file: File,
    pub machine: Machine,
    /// It is loaded where it says (`ET_EXEC`).
    pub fixed: bool,
    pub loads: Vec<Load>,
    pub build_id: Option<Vec<u8>>,
    /// `DT_NEEDED`.
    pub needed: Vec<String>,
    /// Directories of `DT_RUNPATH` and `DT_RPATH`, `$ORIGIN` as it is.
    pub directories: Vec<String>,
    /// Where the section headers begin.
    pub headers: u64,
    pub sections: Vec<Section>,
}

impl Elf {
    /// Looks at a file.
    ///
    /// # Errors
    /// It cannot be read, or is no such file.
    pub(super) fn read(file: File) -> io::Result<Self> {
        let head = bytes(&file, 0, 64)?;
        let machine = match (head.get(..6), u16_at(&head, 18)) {
            (Some(b"\x7fELF\x02\x01"), Some(62)) => Machine::X86,
            (Some(b"\x7fELF\x02\x01"), Some(183)) => Machine::Arm,
            _ => return Err(broken()),
        };
        let field = |at| u64_at(&head, at).ok_or_else(broken);
        let count = |at| u16_at(&head, at).map(u64::from).ok_or_else(broken);
        let programs = bytes(&file, field(32)?, count(56)? * PROGRAM_HEADER)?;
        let mut elf = Self {
            machine,
            fixed: u16_at(&head, 16) == Some(2),
            loads: Vec::new(),
            build_id: None,
            needed: Vec::new(),
            directories: Vec::new(),
            headers: field(40)?,
            sections: Vec::new(),
            file,
        };
        let mut dynamic = None;
        for header in programs.chunks_exact(PROGRAM_HEADER as usize) {
            let at = |at| u64_at(header, at).ok_or_else(broken);
            let load = Load {
                offset: at(8)?,
                address: at(16)?,
                in_file: at(32)?,
                in_memory: at(40)?,
                executable: u32_at(header, 4).is_some_and(|flags| flags & 1 != 0),
            };
            match u32_at(header, 0) {
                Some(PT_LOAD) => elf.loads.push(load),
                Some(PT_DYNAMIC) => dynamic = Some(load),
                Some(PT_NOTE) if elf.build_id.is_none() => {
                    elf.build_id = build_id(&bytes(&elf.file, load.offset, load.in_file)?);
                }
                _ => {}
            }
        }
        if let Some(dynamic) = dynamic {
            elf.read_dynamic(dynamic)?;
        }
        // A file without section headers still has an identity.
        elf.sections = sections(&elf.file, elf.headers, count(60)?, count(62)?).unwrap_or_default();
        Ok(elf)
    }

    fn read_dynamic(&mut self, dynamic: Load) -> io::Result<()> {
        let table = bytes(&self.file, dynamic.offset, dynamic.in_file)?;
        let entries: Vec<(u64, u64)> = table
            .chunks_exact(16)
            .filter_map(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)))
            .take_while(|(tag, _)| *tag != 0)
            .collect();
        let strings = entries.iter().find(|(tag, _)| *tag == DT_STRTAB);
        let Some(strings) = strings.and_then(|(_, at)| self.offset_of(*at)) else {
            return Ok(());
        };
        for (tag, value) in entries {
            let name = |elf: &Self| text(&elf.file, strings.checked_add(value)?);
            match tag {
                DT_NEEDED if self.needed.len() < MAX_NAMES => self.needed.extend(name(self)),
                DT_RUNPATH | DT_RPATH => {
                    let name = name(self).unwrap_or_default();
                    let paths = name.split(':').filter(|path| !path.is_empty());
                    self.directories
                        .extend(paths.take(MAX_NAMES).map(str::to_owned));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The address, as the file counts, of an offset in it.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        let inside = |load: &&Load| offset.wrapping_sub(load.offset) < load.in_file;
        // Pages may be mapped twice: code is meant.
        let mut loads = self.loads.iter().filter(inside);
        let first = loads.clone().next();
        let load = loads.find(|load| load.executable).or(first)?;
        Some(load.address.wrapping_add(offset - load.offset))
    }

    /// The offset in the file of an address as the file counts.
    pub(super) fn offset_of(&self, address: u64) -> Option<u64> {
        let inside = |load: &&Load| address.wrapping_sub(load.address) < load.in_file;
        let load = self.loads.iter().find(inside)?;
        load.offset.checked_add(address - load.address)
    }

    /// Where its code begins: the least address of an executable segment.
    pub(super) fn code(&self) -> Option<u64> {
        let code = self.loads.iter().filter(|load| load.executable);
        code.map(|load| load.address).min()
    }

    /// Whether code of it is at this address, as the file counts.
    pub(super) fn has_code(&self, address: u64) -> bool {
        self.loads
            .iter()
            .any(|load| load.executable && address.wrapping_sub(load.address) < load.in_memory)
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// A part of the file, of at most `most` bytes.
    ///
    /// # Errors
    /// It is larger, or cannot be read.
    pub(super) fn part(&self, offset: u64, size: u64, most: u64) -> io::Result<Vec<u8>> {
        bounded(&self.file, offset, size, most)
    }

    /// Bytes of the whole file.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// The build id in a segment of notes: each is a header of 12 bytes, a name and a description, padded to 4.
fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let size = |at| u32_at(notes, at).map(|size| size as usize);
        let (name, description, kind) = (size(0)?, size(4)?, u32_at(notes, 8)?);
        let begin = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let end = begin.checked_add(description)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..)?.starts_with(b"GNU\0") {
            let found = notes.get(begin..end)?;
            return (1..=20).contains(&found.len()).then(|| found.to_vec());
        }
        notes = notes.get(end.checked_next_multiple_of(4)?..)?;
    }
}

fn sections(file: &File, at: u64, count: u64, names: u64) -> io::Result<Vec<Section>> {
    let table = bytes(file, at, count * SECTION_HEADER)?;
    let row = |header: &[u8], names: &[u8]| {
        let name = names.get(u32_at(header, 0)? as usize..)?;
        let end = name.iter().position(|byte| *byte == 0)?;
        Some(Section {
            name: String::from_utf8_lossy(&name[..end]).into_owned(),
            address: u64_at(header, 16)?,
            offset: u64_at(header, 24)?,
            size: u64_at(header, 32)?,
            // SHT_NULL, SHT_NOBITS.
            empty: matches!(u32_at(header, 4)?, 0 | 8),
        })
    };
    let rows = table.chunks_exact(SECTION_HEADER as usize);
    let of_names = rows
        .clone()
        .nth(usize::try_from(names).unwrap_or(usize::MAX))
        .and_then(|header| Some((u64_at(header, 24)?, u64_at(header, 32)?)));
    let (offset, size) = of_names.ok_or_else(broken)?;
    let names = bytes(file, offset, size)?;
    rows.map(|header| row(header, &names).ok_or_else(broken))
        .collect()
}

fn text(file: &File, at: u64) -> Option<String> {
    let left = file.metadata().ok()?.len().checked_sub(at)?;
    let found = bytes(file, at, left.min(MAX_NAME)).ok()?;
    let end = found.iter().position(|byte| *byte == 0)?;
    String::from_utf8(found[..end].to_vec()).ok()
}

fn bytes(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    bounded(file, offset, size, TABLE)
}

fn bounded(file: &File, offset: u64, size: u64, most: u64) -> io::Result<Vec<u8>> {
    let end = offset.checked_add(size).ok_or_else(broken)?;
    if size > most || end > file.metadata()?.len() {
        return Err(broken());
    }
    let mut found = vec![0; usize::try_from(size).map_err(Error::other)?];
    file.read_exact_at(&mut found, offset)?;
    Ok(found)
}

fn broken() -> Error {
    Error::new(ErrorKind::InvalidData, "no ELF file of a known machine")
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}
