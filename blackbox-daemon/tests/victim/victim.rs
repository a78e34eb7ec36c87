//! The victim: a program that dies in the way its first argument names, for the demo and the root tests.
//!
//! Prints one JSON line where a mode has something to tell. Safe outside a cgroup: no mode keeps more than 1 GiB, and
//! nothing but its own children and the process named on the command line is touched.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program's output is its result"
)]

mod faults;
mod load;
mod memory;
mod reuse;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// What shells make of SIGTERM.
const TERMINATED: i32 = 143;

const USAGE: &str = "usage: blackbox-victim MODE
  oom                 allocate until killed (gives up at 1 GiB: exit code 9)
  hold MIB            keep MIB MiB in use and sleep 30 s
  child-oom           a child in mode `oom`; outlives it by a second
  segv-null | segv-wild | segv-stack | segv-noncanonical
  abort               abort()
  sleep               sleep 30 s: the target of a kill
  stuck               two threads and the main one wait for each other: what a deadlock looks like
  serve               handle SIGTERM, and exit with 143 then: a server that ends gracefully
  answer PORT         a busy server: two threads work, and each answer takes 20 ms of work too
  init CODE           block SIGTERM, wait for it, exit with CODE: what tini, dumb-init and sandboxes do
  kill PID SIGNAL     send SIGNAL as `blackbox-killer`
  exit CODE           exit with CODE
  leader-exits        the main thread ends first; the last one exits with 7
  short               exit with 3 at once
  reuse N PID CODE    N children that all have pid PID, each after a byte on standard input: a call fails, exit with CODE
  burst N             N children in mode `short`, at most 16 at once
  crowd N             N children that sleep until this process ends
  pause               sleep until killed
  calls SECONDS       failing calls (EBADF) by every processor
  forks SECONDS       children that end at once, by every processor
  getppid MS          after a byte on standard input, call getppid for MS ms; print the ns that each took
  quiet ROUNDS        20 times a second three failing calls and a child in mode `short`
  rain SECONDS RATE   so many failing calls (EBADF) a second, evenly
  flood SECONDS       failing calls (EBADF) and short-lived children";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Some(Ok(code)) => ExitCode::from(code),
        Some(Err(error)) => {
            eprintln!("blackbox-victim: {}: {error}", arguments.join(" "));
            ExitCode::from(10)
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Runs one mode; `None` if the command line names none. Most modes do not return.
fn run(arguments: &[&str]) -> Option<std::io::Result<u8>> {
    Some(match arguments {
        ["oom"] => memory::exhaust(),
        ["hold", mib] => memory::hold(mib.parse().ok()?),
        ["child-oom"] => memory::exhaust_in_child(),
        ["segv-null"] => faults::write_to(0x10),
        ["segv-wild"] => faults::write_to(0x5e00_0000_1230),
        ["segv-noncanonical"] => faults::write_to(0xdead_0000_0000_0000),
        ["segv-stack"] => faults::overflow_stack(),
        ["abort"] => std::process::abort(),
        ["sleep"] => {
            thread::sleep(Duration::from_secs(30));
            Ok(0)
        }
        ["stuck"] => stuck(),
        ["serve"] => serve(),
        ["answer", port] => load::answer(port.parse().ok()?),
        ["init", code] => wait_for_term(code.parse().ok()?),
        ["kill", pid, signal] => kill(pid.parse().ok()?, signal.parse().ok()?),
        ["exit", code] => Ok(code.parse().ok()?),
        ["leader-exits"] => leader_exits(),
        ["short"] => Ok(3),
        ["reuse", count, pid, code] => {
            reuse::turns(count.parse().ok()?, pid.parse().ok()?, code.parse().ok()?)
        }
        ["burst", count] => load::burst(count.parse().ok()?),
        ["calls", seconds] => load::calls(Duration::from_secs(seconds.parse().ok()?)),
        ["forks", seconds] => load::forks(Duration::from_secs(seconds.parse().ok()?)),
        ["getppid", ms] => load::getppid(Duration::from_millis(ms.parse().ok()?)),
        ["quiet", rounds] => load::quiet(rounds.parse().ok()?),
        ["crowd", count] => load::crowd(count.parse().ok()?),
        ["pause"] => load::pause(),
        ["rain", seconds, rate] => {
            let duration = Duration::from_secs(seconds.parse().ok()?);
            load::rain(duration, rate.parse().ok()?)
        }
        ["flood", seconds] => load::flood(Duration::from_secs(seconds.parse().ok()?)),
        _ => return None,
    })
}

/// Sends `signal` to `pid` under a name a report can be checked for.
fn kill(pid: i32, signal: i32) -> std::io::Result<u8> {
    rustix::thread::set_name(c"blackbox-killer")?;
    #[expect(unsafe_code, reason = "any signal number, which std has no call for")]
    // SAFETY: takes two integers and touches no memory of ours.
    let sent = unsafe { libc::kill(pid, signal) };
    if sent == 0 {
        Ok(0)
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Says that it is ready when two threads wait for ever, and waits for them.
fn stuck() -> std::io::Result<u8> {
    let lock = std::sync::Arc::new(std::sync::Mutex::new(()));
    let _held = lock.lock();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let lock = std::sync::Arc::clone(&lock);
            thread::spawn(move || drop(lock.lock()))
        })
        .collect();
    // Long enough for both to have come to the lock.
    thread::sleep(Duration::from_millis(200));
    println!("ready");
    for waiter in waiters {
        drop(waiter.join());
    }
    Ok(0)
}

/// Says that it is ready, and goes on until SIGTERM.
fn serve() -> std::io::Result<u8> {
    extern "C" fn end(_signal: libc::c_int) {
        #[expect(unsafe_code, reason = "std would run exit handlers")]
        // SAFETY: _exit is async-signal-safe.
        unsafe {
            libc::_exit(TERMINATED)
        }
    }
    let handler: extern "C" fn(libc::c_int) = end;
    #[expect(unsafe_code, reason = "std has no signals")]
    // SAFETY: the handler calls nothing but _exit.
    unsafe {
        libc::signal(libc::SIGTERM, handler as libc::sighandler_t);
    }
    println!("ready");
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

/// Says that it is ready, and takes SIGTERM without a handler. Blocked, it also reaches the first process of a pid
/// namespace, which has no default actions.
fn wait_for_term(code: u8) -> std::io::Result<u8> {
    #[expect(unsafe_code, reason = "std has no signals")]
    // SAFETY: the set lives on this stack and is initialised before it is used; `sigwait` writes one integer.
    let result = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        println!("ready");
        let mut signal = 0;
        libc::sigwait(&set, &mut signal)
    };
    match result {
        0 => Ok(code),
        error => Err(std::io::Error::from_raw_os_error(error)),
    }
}

/// Ends the main thread alone; 300 ms later the remaining one ends the process with code 7.
fn leader_exits() -> std::io::Result<u8> {
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(300));
        #[expect(
            unsafe_code,
            reason = "std would run the exit handlers of a thread that is gone"
        )]
        // SAFETY: ends the process (exit_group); nothing of ours runs after it.
        unsafe {
            libc::_exit(7)
        }
    });
    #[expect(unsafe_code, reason = "std cannot end only the main thread")]
    // SAFETY: ends this thread without unwinding; the other one borrows nothing from its stack.
    unsafe {
        libc::syscall(libc::SYS_exit, 0);
    }
    unreachable!("exit(2) does not return")
}
