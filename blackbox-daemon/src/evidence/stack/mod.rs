//! The stack of a thread that faulted, with the names of its functions, after its process is gone.
//!
//! Reads the record that the kernel made at that instant, and files of the node; makes a [`Stack`]. Never fails: what
//! cannot be found is a note in it. A name is given only from a file that is the one that ran, or a note says that this is
//! not sure. Files of containers are hostile: see `modules` (which are opened), `elf` and `symbols` (how they are read).

mod elf;
mod modules;
mod symbols;
#[cfg(test)]
mod tests;
mod thread;
mod unwind;

use std::path::PathBuf;

use self::modules::{Module, Modules};
use self::symbols::Name;
use self::unwind::Found;
use crate::record::{CrashStack, RecordId};
use crate::report::{Frame, Stack};

/// The stack of a record, with names. `exe` is the path that was executed; files are looked for below `roots`, the
/// process's own first.
#[must_use]
pub fn explain(stack: &CrashStack, id: RecordId, exe: Option<&str>, roots: &[PathBuf]) -> Stack {
    let mut modules = Modules::find(stack, exe, roots);
    let (found, why) = unwind::frames(stack, &modules);
    let mut notes = std::mem::take(&mut modules.notes);
    if let Some(why) = why {
        notes.push(format!("the stack ends here: {why}"));
    }
    let places: Vec<Option<usize>> = found
        .iter()
        .map(|frame| place(&modules, stack, frame))
        .collect();
    let mut names: Vec<Vec<Name>> = vec![Vec::new(); found.len()];
    for (index, module) in modules.list.iter().enumerate() {
        let here: Vec<usize> = (0..found.len())
            .filter(|frame| places[*frame] == Some(index))
            .collect();
        if here.is_empty() {
            continue;
        }
        let addresses: Vec<u64> = here
            .iter()
            .map(|frame| module.own(found[*frame].inside()))
            .collect();
        match symbols::names(&module.elf, &addresses) {
            Ok(of_module) => {
                if of_module.iter().all(Vec::is_empty) {
                    notes.push(format!("{} has no names of these functions", module.path));
                }
                for (frame, of_frame) in here.into_iter().zip(of_module) {
                    names[frame] = of_frame;
                }
            }
            Err(why) => notes.push(format!("{} gives no names: {why}", module.path)),
        }
    }
    let frames = found.iter().zip(places).zip(names);
    let frames = frames.flat_map(|((found, place), names)| {
        let module = place.map(|index| &modules.list[index]);
        rows(stack, found, module, names)
    });
    Stack {
        id,
        notes,
        frames: frames.collect(),
    }
}

/// The module that a frame is in. Where the kernel named another file, it is none that was found.
fn place(modules: &Modules, stack: &CrashStack, found: &Found) -> Option<usize> {
    let index = modules.at(found.inside())?;
    let module = &modules.list[index];
    let named = stack.frames.iter().find(|frame| frame.ip == found.ip);
    match named.and_then(|frame| frame.file) {
        Some(file) if module.id() != Some(file.build_id) => None,
        _ => Some(index),
    }
}

/// The frame itself, after the calls that were inlined into it.
fn rows(
    stack: &CrashStack,
    found: &Found,
    module: Option<&Module>,
    names: Vec<Name>,
) -> Vec<Frame> {
    let recorded = stack.frames.iter().find(|frame| frame.ip == found.ip);
    let recorded = recorded.and_then(|frame| frame.file);
    let offset = module.and_then(|module| {
        let before = module.elf.offset_of(module.own(found.inside()))?;
        Some(before.wrapping_add(found.ip.wrapping_sub(found.inside())))
    });
    let id = recorded.map(|file| file.build_id);
    let plain = Frame {
        address: format!("{:#x}", found.ip),
        function: None,
        function_offset: None,
        source: None,
        module: module.map(|module| module.path.clone()),
        build_id: id
            .or_else(|| module.filter(|module| module.checked)?.id())
            .map(|id| modules::hex(&id)),
        file_offset: recorded
            .map(|file| file.offset)
            .or(offset)
            .map(|offset| format!("{offset:#x}")),
        found_by: found.by,
    };
    if names.is_empty() {
        return vec![plain];
    }
    let named = names.into_iter().map(|name| Frame {
        function: Some(name.function),
        // It was looked up inside the call, the address is behind it.
        function_offset: name
            .offset
            .map(|offset| offset.wrapping_add(found.ip.wrapping_sub(found.inside()))),
        source: name.source,
        ..plain.clone()
    });
    named.collect()
}
