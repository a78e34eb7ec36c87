//! Names of functions and lines of source, from a module's symbols and debug information.
//!
//! Reads the sections that hold them; makes names, demangled, outermost function first as calls that were inlined
//! nest. The library that reads them maps its input into memory and follows what is written there to other files, so it
//! is given a copy in memory that nobody else can change, holds no more than [`MOST`], and names no other file.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use blazesym::symbolize::source::{Elf as Input, Source};
use blazesym::symbolize::{CodeInfo, Input as Addresses, Sym, Symbolizer};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::elf::{Elf, SECTION_HEADER};

/// Most bytes copied of one module: the daemon's own memory is limited.
const MOST: u64 = 64 << 20;
/// Sections that hold names; they come before those that hold lines.
const NAMES: [&str; 5] = [".shstrtab", ".strtab", ".symtab", ".dynstr", ".dynsym"];
const LINES: &str = ".debug_";

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub function: String,
    /// Bytes from its beginning to the address; `None`: it was inlined.
    pub offset: Option<u64>,
    pub source: Option<String>,
}

/// The functions at addresses, as the file counts them; innermost first where calls were inlined, none where there is no name.
///
/// # Errors
/// The file holds nothing that can be read.
pub(super) fn names(elf: &Elf, addresses: &[u64]) -> Result<Vec<Vec<Name>>, String> {
    let (copy, lines) = excerpt(elf).map_err(|error| error.to_string())?;
    let look = |lines| {
        let mut input = Input::new(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        input.debug_syms = lines;
        let symbolizer = Symbolizer::builder()
            .set_debug_dirs(Some(Vec::<&str>::new()))
            .build();
        let found = symbolizer
            .symbolize(&Source::Elf(input), Addresses::VirtOffset(addresses))
            .map_err(|error| error.to_string())?;
        let of_one = |found: &blazesym::symbolize::Symbolized<'_>| {
            found.as_sym().map(of_symbol).unwrap_or_default()
        };
        Ok::<_, String>(found.iter().map(of_one).collect())
    };
    // The file may be anything: what breaks the reader costs the names only.
    let safe = |lines| {
        catch_unwind(AssertUnwindSafe(|| look(lines)))
            .unwrap_or_else(|_| Err("its symbols are malformed".to_owned()))
    };
    match lines.then(|| safe(true)) {
        Some(Ok(found)) => Ok(found),
        _ => safe(false),
    }
}

fn of_symbol(symbol: &Sym<'_>) -> Vec<Name> {
    let source = |info: &CodeInfo<'_>| {
        let line = info
            .line
            .map_or_else(String::new, |line| format!(":{line}"));
        format!("{}{line}", info.to_path().display())
    };
    let inlined = symbol.inlined.iter().rev().map(|call| Name {
        function: call.name.clone().into_owned(),
        offset: None,
        source: call.code_info.as_ref().map(source),
    });
    let own = Name {
        function: symbol.name.clone().into_owned(),
        offset: Some(symbol.offset as u64),
        source: symbol.code_info.as_deref().map(source),
    };
    inlined.chain([own]).collect()
}

/// A copy of the sections that matter, at their places in a file of the same length that is otherwise a hole; and
/// whether lines are in it.
fn excerpt(elf: &Elf) -> io::Result<(File, bool)> {
    let mut copy = File::from(memfd_create("symbols", MemfdFlags::CLOEXEC)?);
    ftruncate(&copy, elf.length()?)?;
    let count = elf.sections.len() as u64;
    let mut head = elf.part(0, 64, 64)?;
    // The segments are not copied.
    head[56..58].fill(0);
    copy.write_all(&head)?;
    let mut table = elf.part(elf.headers, count * SECTION_HEADER, MOST)?;
    let is_name = |name: &str| NAMES.contains(&name);
    let is_line = |name: &str| name.starts_with(LINES);
    let size = |wanted: &dyn Fn(&str) -> bool| {
        let sections = elf.sections.iter().filter(|section| wanted(&section.name));
        sections.fold(0u64, |sum, section| sum.saturating_add(section.size))
    };
    let names = size(&is_name);
    if names > MOST {
        return Err(io::Error::other("its symbols are too large"));
    }
    let lines = size(&is_line);
    let with_lines = lines > 0 && lines <= MOST - names;
    let headers = table.chunks_exact_mut(SECTION_HEADER as usize);
    for (section, header) in elf.sections.iter().zip(headers) {
        if is_name(&section.name) || with_lines && is_line(&section.name) {
            if !section.empty {
                copy.write_all_at(
                    &elf.part(section.offset, section.size, MOST)?,
                    section.offset,
                )?;
            }
        } else if section.name != ".text" {
            // No name, SHT_NULL: nothing follows a debug link out of the copy.
            header[..8].fill(0);
        }
    }
    copy.write_all_at(&table, elf.headers)?;
    Ok((copy, with_lines))
}
