//! One step outwards: from a thread's registers in a function to those in its caller.
//!
//! Reads `.eh_frame` of a module (System V ABI x86-64, section 3.7; DWARF 5, section 6.4), and memory from the copy of the
//! stack only; makes the caller's registers, as far as they are known. Each frame lies above the one before, so walks end.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, Encoding, EndianSlice, EvaluationResult,
    LittleEndian, Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection as _,
    Value,
};

use super::elf::{Machine, Section, u64_at};
use super::modules::{Module, Modules};
use crate::record::CrashStack;

/// Most bytes of a module's call frame information.
const MOST_TABLES: u64 = 64 << 20;
/// Enough registers for both machines: 0–16 on x86-64, 0–31 on arm64.
const REGISTERS: usize = 32;
/// Bits of an address of user space on arm64; above them pointer authentication has its code.
const ARM_ADDRESS: u64 = (1 << 48) - 1;

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// A module's call frame information.
pub(super) struct Tables {
    frame: Vec<u8>,
    header: Vec<u8>,
    bases: BaseAddresses,
}

impl Tables {
    pub(super) fn read(module: &Module) -> Option<Self> {
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
pub(super) struct Thread<'a> {
    registers: [Option<u64>; REGISTERS],
    machine: Machine,
    begin: u64,
    stack: &'a [u8],
    /// The frame before, so that frames go upwards.
    below: Option<u64>,
}

/// Where the caller is, and whether that is the next instruction; `None`: there is no caller.
pub(super) type Step = Result<Option<(u64, bool)>, &'static str>;

impl<'a> Thread<'a> {
    pub(super) fn new(stack: &'a CrashStack, machine: Machine) -> Self {
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
    pub(super) fn step_off(&mut self, modules: &Modules) -> Step {
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
    pub(super) fn step(&mut self, tables: &Tables, address: u64) -> Step {
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
