//! Processes that all have the same pid, one after the other: what a node does once in a while, forced by `clone3`.

use std::io::{Error, Read as _, Result, Write as _};

/// One of so many becomes a program before it ends.
const PROGRAMS: u64 = 50;

/// Starts `count` children with the pid `pid`, each when a byte comes in, and writes a byte when it is reaped. The number of the
/// descriptor that a child fails to close says whose it is, and so does the code it exits with.
pub(crate) fn turns(count: u64, pid: i32, code: i32) -> Result<u8> {
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout());
    let program = std::env::current_exe()?;
    let program = std::ffi::CString::new(program.into_os_string().into_encoded_bytes())?;
    let number = std::ffi::CString::new(code.to_string())?;
    let mut turn = [0];
    for done in 0..count {
        stdin.read_exact(&mut turn)?;
        let becomes = done % PROGRAMS == 0;
        let words = [program.as_c_str(), c"exit", number.as_c_str()];
        live(pid, code, becomes.then_some(&words))?;
        stdout.write_all(&turn)?;
        stdout.flush()?;
    }
    Ok(0)
}

/// One child's life.
fn live(pid: i32, code: i32, becomes: Option<&[&std::ffi::CStr; 3]>) -> Result<()> {
    let argv = becomes.map(|words| {
        let [program, mode, number] = words.map(std::ffi::CStr::as_ptr);
        [program, mode, number, std::ptr::null()]
    });
    let environment = [std::ptr::null()];
    let wanted = [pid];
    let child = loop {
        let child = fork_as(&wanted);
        if child == 0 {
            end(code, argv.as_ref(), environment.as_ptr());
        }
        match Error::last_os_error().raw_os_error() {
            // The last one of that pid is not quite gone.
            Some(libc::EEXIST) if child < 0 => std::thread::yield_now(),
            _ => break child,
        }
    };
    if child < 0 {
        return Err(Error::last_os_error());
    }
    let mut status = 0;
    #[expect(unsafe_code, reason = "std waits for its own children only")]
    // SAFETY: `status` outlives the call.
    let reaped = unsafe { libc::waitpid(pid, &mut status, 0) };
    match reaped == pid {
        true => Ok(()),
        false => Err(Error::last_os_error()),
    }
}

/// `fork` that chooses the pid: `clone3` (2) with `set_tid`.
#[expect(unsafe_code, reason = "the C library has no such fork")]
fn fork_as(wanted: &[i32; 1]) -> libc::c_long {
    /// `struct clone_args` of linux/sched.h, up to `set_tid_size`.
    #[repr(C)]
    struct CloneArgs([u64; 10]);
    const EXIT_SIGNAL: usize = 4;
    const SET_TID: usize = 8;
    const SET_TID_SIZE: usize = 9;
    let mut arguments = CloneArgs([0; 10]);
    arguments.0[EXIT_SIGNAL] = libc::SIGCHLD as u64;
    arguments.0[SET_TID] = wanted.as_ptr() as u64;
    arguments.0[SET_TID_SIZE] = 1;
    // SAFETY: the kernel reads as much as it is told; without CLONE_VM the child has a copy of this stack. This program has one
    // thread, and the child does nothing but system calls.
    unsafe {
        libc::syscall(
            libc::SYS_clone3,
            std::ptr::from_ref(&arguments),
            size_of::<CloneArgs>(),
        )
    }
}

/// What a child does: fails to close a descriptor that cannot be, and ends.
#[expect(unsafe_code, reason = "only system calls are allowed after the fork")]
fn end(
    code: i32,
    argv: Option<&[*const libc::c_char; 4]>,
    environment: *const *const libc::c_char,
) -> ! {
    // SAFETY: async-signal-safe calls; the pointers are to strings and arrays of the parent, of which this is a copy.
    unsafe {
        libc::syscall(libc::SYS_close, -libc::c_long::from(code));
        if let Some(argv) = argv {
            libc::execve(argv[0], argv.as_ptr(), environment);
        }
        libc::_exit(code)
    }
}
