//! What did it do that the processor refused, and where? Or did it abort itself?

use super::{Cause, Death, Grade, Scene, Verdict};
use crate::record::{RecordId, Signal};
use crate::words;

pub(crate) const SIGILL: u32 = 4;
pub(crate) const SIGTRAP: u32 = 5;
pub(crate) const SIGBUS: u32 = 7;
pub(crate) const SIGFPE: u32 = 8;
pub(crate) const SIGSEGV: u32 = 11;
pub(crate) const SIGSYS: u32 = 31;

/// Below this no program may map memory by default (`vm.mmap_min_addr`), and a member of a struct behind a null
/// pointer lies below it.
const NULL_END: u64 = 0x1_0000;
/// An access this near the stack pointer that is not mapped has left its stack: the kernel keeps a guard gap
/// of 256 pages below stacks (`stack_guard_gap`, mm/mmap.c), and compilers probe each page of a frame.
const STACK_REACH: u64 = 256 * 4096;
/// Page-fault error code bits (arch/x86/include/asm/trap_pf.h).
const PF_WRITE: u32 = 1 << 1;
const PF_INSTRUCTION: u32 = 1 << 4;

/// Where a bad address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressClass {
    /// In the first 64 KiB.
    Null,
    /// At the end of the thread's stack.
    Stack,
    /// Anywhere else.
    Wild,
    /// The processor told none.
    Untold,
}

impl AddressClass {
    pub(crate) fn of(signal: &Signal) -> Self {
        match (signal.fault_addr, signal.sp) {
            (None, _) => Self::Untold,
            (Some(address), _) if address < NULL_END => Self::Null,
            (Some(address), Some(sp)) if address.abs_diff(sp) <= STACK_REACH => Self::Stack,
            (Some(_), _) => Self::Wild,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Stack => "stack",
            Self::Wild => "wild",
            Self::Untold => "untold",
        }
    }
}

/// Signals that the kernel sends a thread for what it did itself.
pub(super) fn is_fault(number: u32) -> bool {
    matches!(
        number,
        SIGILL | SIGTRAP | SIGBUS | SIGFPE | SIGSEGV | SIGSYS
    )
}

pub(super) fn explain(scene: &Scene<'_>, death: &Death) -> Verdict {
    let signal = &death.signal;
    let name = words::signal(signal.number);
    let victim = words::process(&scene.victim);
    let what = what(signal);
    let headline = format!("{victim} killed itself by a fault: it {what} ({name})");
    let mut verdict = Verdict::new(Cause::Fault, Grade::Proven, headline);
    let text = format!(
        "the kernel sent {name} (si_code {}) because it {what}",
        signal.code
    );
    verdict.state(Grade::Proven, text, death.cites.clone());
    verdict.signal_facts(signal.number);
    verdict.fact("signal_code", signal.code);
    verdict.fact("core_dumped", death.core_dumped);
    if matches!(signal.number, SIGSEGV | SIGBUS) {
        address(&mut verdict, death);
    }
    if let Some(ip) = signal.ip {
        verdict.fact("instruction_pointer", format!("{ip:#x}"));
        let text = format!(
            "the instruction at {ip:#x} did it, thread {}",
            signal.sender.tid
        );
        verdict.state(Grade::Proven, text, death.cites.clone());
    }
    verdict
}

/// Adds the address and what its place suggests.
fn address(verdict: &mut Verdict, death: &Death) {
    let class = AddressClass::of(&death.signal);
    verdict.fact("address_class", class.name());
    let cites = || death.cites.clone();
    if let Some(address) = death.signal.fault_addr {
        verdict.fact("fault_address", format!("{address:#x}"));
    }
    if let Some(sp) = death.signal.sp {
        verdict.fact("stack_pointer", format!("{sp:#x}"));
    }
    if death.signal.number != SIGSEGV {
        return;
    }
    let (grade, text) = match class {
        AddressClass::Null => (
            Grade::Proven,
            "the address is null or a small offset from it, as of a null pointer",
        ),
        AddressClass::Stack => (
            Grade::Likely,
            "the address is next to the stack pointer and not usable: the stack overflowed",
        ),
        AddressClass::Wild => (
            Grade::Likely,
            "the address is neither near null nor near the stack: a wild or stale pointer",
        ),
        AddressClass::Untold => (
            Grade::Likely,
            "the processor tells no address: typically a non-canonical one, so a corrupted pointer",
        ),
    };
    verdict.state(grade, text.to_owned(), cites());
}

/// What the thread did, as far as signal and processor say.
fn what(signal: &Signal) -> String {
    let access = match signal.error_code {
        Some(code) if code & PF_INSTRUCTION != 0 => "jumped to",
        Some(code) if code & PF_WRITE != 0 => "wrote to",
        Some(_) => "read from",
        None => "used",
    };
    let class = AddressClass::of(signal);
    match (signal.number, signal.fault_addr) {
        (SIGSEGV, Some(address)) => {
            let place = match class {
                AddressClass::Null => "null pointer",
                AddressClass::Stack => "end of its stack",
                AddressClass::Wild | AddressClass::Untold => "not its memory",
            };
            format!("{access} address {address:#x}, {place}")
        }
        (SIGSEGV, None) => "used an address or instruction that the processor refuses".to_owned(),
        (SIGBUS, Some(address)) => {
            format!("{access} address {address:#x}, which has no memory behind it")
        }
        (SIGBUS, None) => "used memory that is not there".to_owned(),
        (SIGFPE, _) => "made an arithmetic error such as a division by zero".to_owned(),
        (SIGILL, _) => "ran an instruction the processor does not know".to_owned(),
        (SIGTRAP, _) => "ran into a breakpoint or trap".to_owned(),
        (SIGSYS, _) => "made a system call that its seccomp filter forbids".to_owned(),
        (number, _) => format!("caused {}", words::signal(number)),
    }
}

/// What an abort leaves open.
const WHY_ABORT: &str = "a failed assertion, a panic set to abort or a heap check would do this; the kernel does not see \
                         which, its own words may say it";

/// `abort()`: it sent itself SIGABRT.
pub(super) fn aborted(scene: &Scene<'_>, death: &Death) -> Verdict {
    let victim = words::process(&scene.victim);
    let headline = format!("{victim} aborted itself (SIGABRT from its own thread)");
    let mut verdict = Verdict::new(Cause::Abort, Grade::Proven, headline);
    let text = format!(
        "thread {} of the process sent SIGABRT to the process itself, as abort() does",
        death.signal.sender.tid
    );
    verdict.state(Grade::Proven, text, death.cites.clone());
    verdict.state(Grade::Unknown, WHY_ABORT.to_owned(), death.cites.clone());
    verdict.signal_facts(death.signal.number);
    verdict.fact("core_dumped", death.core_dumped);
    verdict.fact("sender_pid", death.signal.sender.key.tgid);
    verdict
}

/// `abort()` in the first process of a container: it ignored the SIGABRT, and `abort()` went on to an instruction that faults.
pub(super) fn aborted_by_fault(scene: &Scene<'_>, death: &Death, abort: RecordId) -> Verdict {
    let victim = words::process(&scene.victim);
    let name = words::signal(death.signal.number);
    let headline = format!("{victim} aborted itself (SIGABRT, which it ignores, then {name})");
    let mut verdict = Verdict::new(Cause::Abort, Grade::Proven, headline);
    let mut cites = death.cites.clone();
    cites.push(abort);
    let text = format!(
        "thread {} sent SIGABRT to its own process, as abort() does; the first process of a container ignores it, and abort() \
         then ends it by an instruction that the processor refuses ({name})",
        death.signal.sender.tid
    );
    verdict.state(Grade::Proven, text, cites.clone());
    verdict.state(Grade::Unknown, WHY_ABORT.to_owned(), cites);
    verdict.signal_facts(death.signal.number);
    verdict.fact("core_dumped", death.core_dumped);
    verdict.fact("sender_pid", death.signal.sender.key.tgid);
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BootTime, CgroupId, Comm, Process, ProcessKey};

    fn segv(fault_addr: Option<u64>, sp: Option<u64>) -> Signal {
        let key = ProcessKey {
            tgid: 1,
            start: BootTime(1),
        };
        let comm = Comm::from_text("x");
        let sender = Process {
            key,
            tid: 1,
            comm,
            cgroup: CgroupId(1),
        };
        let at = BootTime(2);
        Signal {
            at,
            sender,
            number: 11,
            code: 1,
            fault_addr,
            ip: None,
            sp,
            error_code: None,
        }
    }

    #[test]
    fn address_classes() {
        let sp = Some(0x7ffc_0000_0000);
        for (address, class) in [
            (Some(0), AddressClass::Null),
            (Some(0xffff), AddressClass::Null),
            (Some(0x1_0000), AddressClass::Wild),
            (Some(0x7ffb_ffff_fff8), AddressClass::Stack),
            (Some(0x7ffb_fff0_0000), AddressClass::Stack),
            (Some(0x7ffb_ffef_ffff), AddressClass::Wild),
            (None, AddressClass::Untold),
        ] {
            assert_eq!(AddressClass::of(&segv(address, sp)), class, "{address:x?}");
        }
        assert_eq!(
            AddressClass::of(&segv(Some(0x5000_0000), None)),
            AddressClass::Wild
        );
    }

    #[test]
    fn a_general_protection_fault_is_no_null_pointer() {
        let text = what(&segv(None, None));
        assert!(!text.contains("null") && !text.contains("0x0"), "{text}");
    }
}
