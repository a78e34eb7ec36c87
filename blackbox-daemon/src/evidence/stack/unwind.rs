//! Who called whom: the frames of a stack, innermost first.
//!
//! Goes from the instruction outwards by call frame information, as long as that leads, then along the addresses that
//! the kernel found by frame pointers. At most [`MOST`] frames.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::modules::Modules;
use super::thread::{Tables, Thread};
use crate::record::CrashStack;
use crate::report::FoundBy;

/// Most frames of a stack.
pub(super) const MOST: usize = 64;
/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub ip: u64,
    /// It is the next instruction of the thread; else a return address, and the call is before it.
    pub exact: bool,
    pub by: FoundBy,
}

impl Found {
    /// An address inside the instruction that the frame is at.
    pub(super) fn inside(&self) -> u64 {
        self.ip.wrapping_sub(u64::from(!self.exact))
    }
}

/// Where a walk by call frame information ended.
enum End {
    /// At a function that nobody called.
    Outermost,
    /// Before that, and why if that is not plain.
    Early(Option<&'static str>),
}

/// The frames, innermost first, and why there are no more, if that is not because the thread began there.
pub(super) fn frames(stack: &CrashStack, modules: &Modules) -> (Vec<Found>, Option<&'static str>) {
    let walked = catch_unwind(AssertUnwindSafe(|| walk(stack, modules)));
    let malformed = End::Early(Some("its call frame information is malformed"));
    let (mut frames, end) = walked.unwrap_or_else(|_| (Vec::new(), malformed));
    let why = match end {
        End::Outermost => None,
        End::Early(_) if merge(&mut frames, stack) => None,
        End::Early(why) => why,
    };
    frames.truncate(MOST);
    (frames, why)
}

/// Adds the kernel's frames that lie beyond those that were found; says whether there were any.
fn merge(frames: &mut Vec<Found>, stack: &CrashStack) -> bool {
    let kernel = stack.frames.iter().enumerate().map(|(index, frame)| {
        let exact = index == 0 && stack.registers.ip.is_none_or(|ip| ip == frame.ip);
        let by = match exact {
            true => FoundBy::InstructionPointer,
            false => FoundBy::FramePointer,
        };
        Found {
            ip: frame.ip,
            exact,
            by,
        }
    });
    let beyond = match frames.last() {
        None => 0,
        Some(last) => {
            // A function that calls itself is there more than once: the same time is meant.
            let times = frames.iter().filter(|frame| frame.ip == last.ip).count();
            let same = kernel.clone().enumerate();
            let mut same = same.filter(|(_, frame)| frame.ip == last.ip);
            match same.nth(times - 1) {
                Some((at, _)) => at + 1,
                // Where they meet is not known: to guess would show calls that never were.
                None => return false,
            }
        }
    };
    let before = frames.len();
    frames.extend(kernel.skip(beyond));
    frames.len() > before
}

fn walk(stack: &CrashStack, modules: &Modules) -> (Vec<Found>, End) {
    let mut frames = Vec::new();
    let Some(ip) = stack.registers.ip else {
        return (frames, End::Early(Some("the registers were not recorded")));
    };
    frames.push(Found {
        ip,
        exact: true,
        by: FoundBy::InstructionPointer,
    });
    let Some(first) = modules.list.first() else {
        return (frames, End::Early(None));
    };
    let mut thread = Thread::new(stack, first.elf.machine);
    let mut tables = HashMap::new();
    while let Some(frame) = frames.last().filter(|_| frames.len() < MOST) {
        let stepped = match modules.at(frame.inside()) {
            Some(index) => {
                let module = &modules.list[index];
                let tables = tables.entry(index).or_insert_with(|| Tables::read(module));
                let tables = tables
                    .as_ref()
                    .ok_or("a file has no call frame information");
                tables.and_then(|tables| thread.step(tables, module.own(frame.inside())))
            }
            None if frames.len() == 1 => thread.step_off(modules),
            None => Err("an address is in no file that was found"),
        };
        match stepped {
            Ok(Some((ip, exact))) => frames.push(Found {
                ip,
                exact,
                by: FoundBy::CallFrameInformation,
            }),
            Ok(None) => return (frames, End::Outermost),
            Err(why) => return (frames, End::Early(Some(why))),
        }
    }
    (frames, End::Early(Some("more frames than are kept")))
}
