//! Who called whom: from registers, a copy of the stack, and the call frame information of the modules.
//!
//! Follows `.eh_frame` (System V ABI x86-64, section 3.7; DWARF 5, section 6.4) from the instruction outwards, as long
//! as it leads, then the addresses that the kernel found along frame pointers. Memory is read from the copy only. At most
//! [`MOST`] frames; each frame lies above the one before, so that it ends.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult,
    LittleEndian, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection as _,
    Value,
};

use super::elf::{Machine, Section, u64_at};
use super::modules::{Module, Modules};
use crate::record::CrashStack;
use crate::report::FoundBy;

/// Most frames of a stack.
pub(super) const MOST: usize = 64;
/// Most bytes of a module's call frame information.
const MOST_TABLES: u64 = 64 << 20;
/// Enough registers for both machines: 0–16 on x86-64, 0–31 on arm64.
const REGISTERS: usize = 32;
/// Bits of an address of user space on arm64; above them pointer authentication has its code.
const ARM_ADDRESS: u64 = (1 << 48) - 1;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

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

/// The frames, innermost first, and why there are no more, if that is not because the thread began there.
pub(super) fn frames(stack: &CrashStack, modules: &Modules) -> (Vec<Found>, Option<&'static str>) {
    let walked = catch_unwind(AssertUnwindSafe(|| walk(stack, modules)));
    let (mut frames, mut why) =
        walked.unwrap_or_else(|_| (Vec::new(), Some("its call frame information is malformed")));
    if merge(&mut frames, stack) {
        why = None;
    }
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

fn walk(stack: &CrashStack, modules: &Modules) -> (Vec<Found>, Option<&'static str>) {
    let mut frames = Vec::new();
    let Some(ip) = stack.registers.ip else {
        return (frames, Some("the registers were not recorded"));
    };
    frames.push(Found {
        ip,
        exact: true,
        by: FoundBy::InstructionPointer,
    });
    let Some(first) = modules.list.first() else {
        return (frames, None);
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
            Ok(None) => return (frames, None),
            Err(why) => return (frames, Some(why)),
        }
    }
    (frames, Some("more frames than are kept"))
}

/// A module's call frame information.
struct Tables {
    frame: Vec<u8>,
    header: Vec<u8>,
    bases: BaseAddresses,
}

impl Tables {
    fn read(module: &Module) -> Option<Self> {
        let elf = &module.elf;
        let read = |section: &Section| elf.part(section.offset, section.size, MOST_TABLES).ok();
        let frame = elf.section(".eh_frame").filter(|section| !section.empty)?;
        let header = elf.section(".eh_frame_hdr");
        let address = |name| elf.section(name).map_or(0, |section| section.address);
        Some(Self {
            bases: BaseAddresses::default()
                .set_eh_frame(frame.address)
                .set_eh_frame_hdr(address(".eh_frame_hdr"))
                .set_text(address(".text"))
                .set_got(address(".got")),
            frame: read(frame)?,
            header: header.and_then(read).unwrap_or_default(),
        })
    }
}

/// A thread's registers at one frame, as far as they are known, and its stack.
struct Thread<'a> {
    registers: [Option<u64>; REGISTERS],
    machine: Machine,
    begin: u64,
    stack: &'a [u8],
    /// The frame before, so that frames go upwards.
    below: Option<u64>,
}

/// Where the caller is, and whether that is the next instruction; `None`: there is no caller.
type Step = Result<Option<(u64, bool)>, &'static str>;

impl<'a> Thread<'a> {
    fn new(stack: &'a CrashStack, machine: Machine) -> Self {
        let given = &stack.registers;
        let mut registers = [None; REGISTERS];
        // Numbers: System V ABI x86-64, figure 3.36; DWARF for the Arm 64-bit Architecture, section 4.1.
        match machine {
            Machine::X86 => {
                (registers[6], registers[7]) = (given.fp, given.sp);
                for (number, value) in [3, 12, 13, 14, 15].into_iter().zip(given.kept) {
                    registers[number] = value;
                }
                registers[16] = given.ip;
            }
            Machine::Arm => {
                (registers[29], registers[30]) = (given.fp, given.kept[0]);
                registers[31] = given.sp;
            }
        }
        Self {
            registers,
            machine,
            begin: given.sp.unwrap_or(0),
            stack: &stack.stack,
            below: None,
        }
    }

    fn sp(&self) -> usize {
        match self.machine {
            Machine::X86 => 7,
            Machine::Arm => 31,
        }
    }

    fn memory(&self, address: u64) -> Option<u64> {
        u64_at(
            self.stack,
            usize::try_from(address.checked_sub(self.begin)?).ok()?,
        )
    }

    fn register(&self, register: Register) -> Option<u64> {
        self.registers.get(usize::from(register.0)).copied()?
    }

    /// Out of an address without code, such as 0: whoever called it has just pushed where to return, or keeps it in `x30`.
    fn step_off(&mut self, modules: &Modules) -> Step {
        let back = match self.machine {
            Machine::X86 => {
                let sp = self.registers[7];
                self.registers[7] = sp.and_then(|sp| sp.checked_add(8));
                sp.and_then(|sp| self.memory(sp))
            }
            Machine::Arm => self.registers[30],
        };
        match back {
            Some(back) if modules.at(back.wrapping_sub(1)).is_some() => Ok(Some((back, false))),
            _ => Err("the instruction is in no file that was found"),
        }
    }

    /// To the caller of the function that has this address, as the module counts.
    fn step(&mut self, tables: &Tables, address: u64) -> Step {
        const NONE: &str = "a function has no call frame information";
        const LOST: &str = "what is needed to go on is not in the copy of the stack";
        let section = EhFrame::new(&tables.frame, LittleEndian);
        let header = EhFrameHdr::new(&tables.header, LittleEndian).parse(&tables.bases, 8);
        let bases = &tables.bases;
        let sorted = header.as_ref().ok().and_then(|header| header.table());
        let entry = match sorted {
            Some(table) => {
                table.fde_for_address(&section, bases, address, EhFrame::cie_from_offset)
            }
            None => section.fde_for_address(bases, address, EhFrame::cie_from_offset),
        };
        let entry = entry.or(Err(NONE))?;
        let mut context = UnwindContext::new();
        let row = entry
            .unwind_info_for_address(&section, bases, &mut context, address)
            .or(Err(NONE))?;
        let encoding = entry.cie().encoding();
        let evaluate = |expression: &UnwindExpression<usize>, given| {
            self.evaluate(&section, expression, encoding, given)
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => self
                .register(*register)
                .map(|value| value.wrapping_add_signed(*offset)),
            CfaRule::Expression(expression) => evaluate(expression, None),
        };
        let cfa = cfa.ok_or(LOST)?;
        let least = self.registers[self.sp()].unwrap_or(0);
        if cfa < least || self.below.is_some_and(|below| cfa <= below) {
            return Err("the next frame does not lie above the last one");
        }
        let back = entry.cie().return_address_register();
        let mut callers = [None; REGISTERS];
        for (number, value) in (0..).zip(&mut callers) {
            *value = match row.register(Register(number)) {
                None if self.is_kept(number) => self.registers[usize::from(number)],
                None => None,
                Some(RegisterRule::SameValue) => self.registers[usize::from(number)],
                Some(RegisterRule::Offset(offset)) => self.memory(cfa.wrapping_add_signed(offset)),
                Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
                Some(RegisterRule::Register(other)) => self.register(other),
                Some(RegisterRule::Expression(expression)) => {
                    evaluate(&expression, Some(cfa)).and_then(|at| self.memory(at))
                }
                Some(RegisterRule::ValExpression(expression)) => evaluate(&expression, Some(cfa)),
                Some(RegisterRule::Constant(value)) => Some(value),
                // The outermost function says that nobody called it.
                Some(RegisterRule::Undefined) if back.0 == number => return Ok(None),
                Some(_) => None,
            };
        }
        let sp = self.sp();
        if row
            .register(Register(u16::try_from(sp).unwrap_or(0)))
            .is_none()
        {
            callers[sp] = Some(cfa);
        }
        let ip = callers.get(usize::from(back.0)).copied().flatten();
        let ip = match self.machine {
            Machine::X86 => ip,
            Machine::Arm => ip.map(|ip| ip & ARM_ADDRESS),
        };
        self.below = Some(cfa);
        self.registers = callers;
        match ip.ok_or(LOST)? {
            0 => Ok(None),
            ip => Ok(Some((ip, entry.is_signal_trampoline()))),
        }
    }

    /// Whether functions must restore it: then the caller's value is what it is now, where nothing else is said.
    fn is_kept(&self, number: u16) -> bool {
        match self.machine {
            Machine::X86 => matches!(number, 3 | 6 | 12..=15),
            Machine::Arm => matches!(number, 19..=30),
        }
    }

    fn evaluate<'b>(
        &self,
        section: &EhFrame<Bytes<'b>>,
        expression: &UnwindExpression<usize>,
        encoding: Encoding,
        given: Option<u64>,
    ) -> Option<u64> {
        let mut evaluation = expression.get(section).ok()?.evaluation(encoding);
        evaluation.set_max_iterations(256);
        if let Some(given) = given {
            evaluation.set_initial_value(given);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => {
                    return evaluation
                        .value_result()?
                        .to_u64(u64::MAX)
                        .ok()
                        .or_else(|| match evaluation.as_result().first()?.location {
                            gimli::Location::Address { address } => Some(address),
                            _ => None,
                        });
                }
                EvaluationResult::RequiresRegister { register, .. } => evaluation
                    .resume_with_register(Value::Generic(self.register(register)?))
                    .ok()?,
                EvaluationResult::RequiresMemory { address, size, .. } => {
                    let mask = u64::MAX >> (64 - 8 * u32::from(size.clamp(1, 8)));
                    let value = self.memory(address)? & mask;
                    evaluation.resume_with_memory(Value::Generic(value)).ok()?
                }
                _ => return None,
            };
        }
    }
}
