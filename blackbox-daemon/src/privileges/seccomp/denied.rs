//! Calls that the filter denied: answered with EPERM, counted by number, told by name.
//!
//! The filter raises SIGSYS in the thread that made the call; the handler here makes that an EPERM. So a part that needs
//! what nobody thought of fails as any refused call does, and the daemon says which call it was. The counts are statics:
//! a handler has nothing else. The kernel kills a process whose thread has SIGSYS blocked then: nothing here blocks it, and
//! while the C library does, for a moment around the start of a thread, it makes only calls that are allowed.
#![expect(
    unsafe_code,
    reason = "handlers of signals are set, and read registers, by hand"
)]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use syscalls::Sysno;
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Numbers above are counted with the last.
const NUMBERS: usize = 512;
static COUNTS: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];

/// How often new ones are told.
const PERIOD: Duration = Duration::from_secs(1);

/// `SYS_SECCOMP` (include/uapi/asm-generic/siginfo.h): it was a filter, and not somebody's kill(2).
const BY_FILTER: i32 = 1;

/// Makes EPERM of what the filter denies, from now on and in all threads.
///
/// # Errors
/// When the kernel refuses, which it has no reason to.
pub(super) fn handle() -> io::Result<()> {
    type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
    let handler: Handler = answer;
    // SAFETY: all zeros is a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler is a function of the form that SA_SIGINFO asks for, and does only what a handler may.
    match unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Does nothing but count and set a register: a handler may run in the middle of anything.
extern "C" fn answer(_signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel hands over both, valid until the handler returns.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    if info.si_code != BY_FILTER {
        return;
    }
    let registers = &mut context.uc_mcontext;
    // The register of the call's number, and that of its result; the kernel has put both back as they were before the call.
    #[cfg(target_arch = "x86_64")]
    let (number, result) = {
        let result = &mut registers.gregs[libc::REG_RAX as usize];
        (*result, result)
    };
    #[cfg(target_arch = "aarch64")]
    let (number, result) = (registers.regs[8], &mut registers.regs[0]);
    let place = usize::try_from(number).unwrap_or(NUMBERS).min(NUMBERS - 1);
    COUNTS[place].fetch_add(1, Relaxed);
    // A register has no sign; the kernel's answers are negative numbers.
    *result = i64::from(-libc::EPERM) as _;
}

/// How many calls were denied so far.
#[must_use]
pub fn total() -> u64 {
    COUNTS.iter().map(|count| count.load(Relaxed)).sum()
}

/// Which calls were denied so far, and how often.
#[must_use]
pub fn by_call() -> Vec<(&'static str, u64)> {
    let counts = COUNTS.iter().map(|count| count.load(Relaxed));
    let some = counts.enumerate().filter(|(_, count)| *count > 0);
    some.map(|(number, count)| (name(number), count)).collect()
}

fn name(number: usize) -> &'static str {
    Sysno::new(number).map_or("unknown", |call| call.name())
}

/// Calls that were told.
#[derive(Debug, Default)]
pub struct Told(Vec<&'static str>);

impl Told {
    /// Logs each call once, when it was denied for the first time.
    pub fn tell(&mut self) {
        for (call, count) in by_call() {
            if !self.0.contains(&call) {
                self.0.push(call);
                tracing::error!(
                    call,
                    count,
                    "the seccomp filter denied a system call: a part may work less well; please report it, and until that is \
                     mended start with BLACKBOX_SECCOMP=off"
                );
            }
        }
    }
}

/// Tells of new ones until `stop`; what comes after that is left to the caller.
pub async fn watch(stop: CancellationToken) -> Told {
    let mut told = Told::default();
    loop {
        told.tell();
        let pause = tokio::time::sleep(clock::until_next(clock::boot_now(), PERIOD));
        if stop.run_until_cancelled(pause).await.is_none() {
            return told;
        }
    }
}
