//! What things are called: signals, exit codes, errors, system calls, sizes, durations, processes.
//!
//! One place for every name a person reads. Pure.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::identity::Names;
use crate::record::{Process, WaitStatus};

/// Names of signals 1–31 on x86-64 and arm64 (signal(7)).
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// First real-time signal as programs count them; glibc keeps 32 and 33 for itself (signal(7)).
const SIGRTMIN: u32 = 34;

/// A signal's name: `SIGKILL`, `SIGRTMIN+2`, `signal 99`.
#[must_use]
pub fn signal(number: u32) -> String {
    let index = (number as usize).checked_sub(1);
    match index.and_then(|index| SIGNALS.get(index)) {
        Some(name) => (*name).to_owned(),
        None if (SIGRTMIN..=64).contains(&number) => format!("SIGRTMIN+{}", number - SIGRTMIN),
        None => format!("signal {number}"),
    }
}

/// An error's name: `ENOENT`; error 0 of a count stands for any other.
#[must_use]
pub fn errno(number: u16) -> Cow<'static, str> {
    if number == 0 {
        return Cow::Borrowed("other errors");
    }
    match syscalls::Errno::new(i32::from(number)).name() {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("error {number}")),
    }
}

/// The number of an error by name, or a number as text.
#[must_use]
pub fn errno_number(text: &str) -> Option<u16> {
    let by_name = || (1..=255).find(|number| errno(*number).eq_ignore_ascii_case(text));
    text.parse()
        .ok()
        .filter(|number| (1..=255).contains(number))
        .or_else(by_name)
}

/// A call's name: `openat`; a 32-bit call goes by number.
#[must_use]
pub fn call(nr: u32, compat: bool) -> Cow<'static, str> {
    if compat {
        return Cow::Owned(format!("32-bit call {nr}"));
    }
    match syscalls::Sysno::new(nr as usize) {
        Some(name) => Cow::Borrowed(name.name()),
        None => Cow::Owned(format!("call {nr}")),
    }
}

/// Calls whose first argument is a descriptor, of those in which threads wait or that fail without a path.
const OF_DESCRIPTORS: [&str; 22] = [
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "close",
    "fstat",
    "poll_wait",
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "accept",
    "accept4",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "connect",
    "ioctl",
    "fsync",
    "flock",
];

/// A call with what it was about: the argument that matters, else what the registers held.
#[must_use]
pub fn called(name: &str, argument: Option<&str>, [a, b, c]: [u64; 3]) -> impl fmt::Display {
    fmt::from_fn(move |f| match argument {
        Some(argument) => write!(f, "{name} {argument}"),
        None if OF_DESCRIPTORS.contains(&name) => write!(f, "{name}(fd {a}, {b:#x}, {c:#x})"),
        None => write!(f, "{name}({a:#x}, {b:#x}, {c:#x})"),
    })
}

/// What a call returned: the error's name, or the value.
#[must_use]
pub fn returned(ret: i64) -> String {
    match ret {
        // The kernel's own codes end at 4095 (`MAX_ERRNO`, include/linux/err.h); addresses may look negative.
        -4095..=-1 => errno(u16::try_from(-ret).unwrap_or(0)).into_owned(),
        0..=0xffff_ffff => ret.to_string(),
        address => format!("{address:#x}"),
    }
}

/// What an exit code means by convention (bash(1), sysexits(3), docker-run(1)); `None`: nothing in particular.
#[must_use]
pub fn exit_code(code: u32) -> Option<String> {
    let meaning = match code {
        1 => "general error",
        2 => "wrong usage, by convention of shells",
        64 => "wrong usage (EX_USAGE)",
        69 => "a service is unavailable (EX_UNAVAILABLE)",
        70 => "internal software error (EX_SOFTWARE)",
        71 => "operating system error (EX_OSERR)",
        73 => "cannot create its output (EX_CANTCREAT)",
        74 => "input/output error (EX_IOERR)",
        77 => "permission denied (EX_NOPERM)",
        78 => "configuration error (EX_CONFIG)",
        125 => "the container runtime failed before the command ran, by convention of docker",
        126 => "the command was found and could not be executed, by convention of shells",
        127 => "the command was not found, by convention of shells",
        128 => "invalid argument to exit, by convention of shells",
        129..=192 => {
            return Some(format!(
                "by convention of shells: a child of it died of {}",
                signal(code - 128)
            ));
        }
        255 => "exit status out of range, or ssh failed, by convention",
        _ => return None,
    };
    Some(meaning.to_owned())
}

/// A size in binary units: `64.0 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let mut value = size as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A time span with as much precision as matters: `3.214 s`, `5.1 ms`, `40 µs`, `2 h 3 min`.
#[must_use]
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.as_micros() < 100 => format!("{} µs", span.as_micros()),
        0 => format!("{:.1} ms", span.as_secs_f64() * 1e3),
        1..=59 => format!("{:.3} s", span.as_secs_f64()),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Who submitted something: a caller's name, as the API authenticated it.
#[must_use]
pub fn reporter(by: &str) -> String {
    match by.starts_with("pod ") {
        true => by.to_owned(),
        false => format!("the holder of API key {by:?}"),
    }
}

/// A process in short: `nginx (pid 12)`.
#[must_use]
pub fn process(process: &Process) -> impl fmt::Display {
    fmt::from_fn(move |f| write!(f, "{} (pid {})", process.comm, process.key.tgid))
}

/// A process by all that is known of it: `nginx (pid 12, /usr/sbin/nginx)`.
#[must_use]
pub fn process_and_exe(process: &Process, names: &Names) -> String {
    match names.exe(process.key) {
        Some(exe) => format!(
            "{} (pid {}, {})",
            process.comm,
            process.key.tgid,
            printable(exe)
        ),
        None => self::process(process).to_string(),
    }
}

/// How a process ended: `died of SIGKILL`, `exited with code 3`.
#[must_use]
pub fn ending(status: WaitStatus) -> String {
    let core = if status.core_dumped() {
        ", core dumped"
    } else {
        ""
    };
    match (status.signal(), status.code()) {
        (Some(number), _) => format!("died of {}{core}", signal(number)),
        (None, code) => format!("exited with code {}", code.unwrap_or_default()),
    }
}

/// An error with its causes on one line, each said once: most libraries leave the reason to the cause.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// Text a process chose, without control characters.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    match !is_plain(text) && text.contains(char::is_control) {
        true => Cow::Owned(text.replace(char::is_control, "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// Whether it is nothing but what ASCII prints.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(signal(9), "SIGKILL");
        assert_eq!(signal(31), "SIGSYS");
        assert_eq!(signal(36), "SIGRTMIN+2");
        assert_eq!(signal(0), "signal 0");
        assert_eq!(errno(2), "ENOENT");
        assert_eq!(errno(111), "ECONNREFUSED");
        assert_eq!(errno(250), "error 250");
        assert_eq!(errno_number("EAGAIN"), Some(11));
        assert_eq!(errno_number("enoent"), Some(2));
        assert_eq!(errno_number("300"), None);
        assert_eq!(errno_number("ENOSUCH"), None);
        assert!(exit_code(137).unwrap().contains("SIGKILL"));
        assert!(!exit_code(137).unwrap().to_lowercase().contains("oom"));
    }

    #[test]
    fn sizes_and_spans() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(bytes(3 << 40), "3.0 TiB");
        assert_eq!(duration(Duration::from_micros(5_100)), "5.1 ms");
        assert_eq!(duration(Duration::from_millis(3_214)), "3.214 s");
        assert_eq!(duration(Duration::from_secs(7_380)), "2 h 3 min");
    }
}
