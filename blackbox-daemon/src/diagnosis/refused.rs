//! What the kernel refused: which cause a failed call speaks for, and whether words speak of the same.

use super::Code;
use crate::report::calls::Failed;

/// Port of name servers (RFC 1035).
const DNS_PORT: &str = ":53";

/// The cause that a failed call may be; `None`: it says nothing, whatever follows.
pub(super) fn cause(call: &Failed<'_>) -> Option<Code> {
    let name = &*call.call;
    let starts = |names: &[&str]| names.contains(&name);
    let errno = crate::words::errno(call.errno);
    let dns = || call.argument.is_some_and(|peer| peer.ends_with(DNS_PORT));
    let code = match &*errno {
        "ENOENT" | "ENOTDIR" if starts(EXEC) => Code::ExecFailed,
        "ENOENT" | "ENOTDIR" if starts(PATHS) => Code::MissingFile,
        // A socket in the file system that is not there.
        "ENOENT" if name == "connect" => Code::ConnRefused,
        "EACCES" | "EPERM" if starts(EXEC) => Code::ExecFailed,
        "EACCES" | "EPERM" => Code::Permission,
        "ENOEXEC" | "ELIBBAD" | "ETXTBSY" if starts(EXEC) => Code::ExecFailed,
        "EROFS" => Code::ReadOnly,
        // Of inotify, these are limits of another kind.
        "ENOSPC" | "EDQUOT" | "EMFILE" if name.starts_with("inotify") => return None,
        "ENOSPC" | "EDQUOT" => Code::DiskFull,
        "EMFILE" | "ENFILE" => Code::FdExhausted,
        "EAGAIN" if starts(START) => Code::ThreadLimit,
        "EADDRINUSE" if starts(&["bind", "listen"]) => Code::PortInUse,
        "ECONNREFUSED" | "ETIMEDOUT" | "EHOSTUNREACH" | "ENETUNREACH" if starts(TALK) && dns() => {
            Code::Dns
        }
        "ECONNREFUSED" => Code::ConnRefused,
        "ETIMEDOUT" if starts(TALK) => Code::ConnTimeout,
        "EHOSTUNREACH" | "ENETUNREACH" => Code::Unreachable,
        "ECONNRESET" => Code::ConnReset,
        "ENOMEM" => Code::AllocFailed,
        "EIO" => Code::IoError,
        _ => return None,
    };
    Some(code)
}

const EXEC: &[&str] = &["execve", "execveat"];
const START: &[&str] = &["clone", "clone3", "fork", "vfork"];
const TALK: &[&str] = &[
    "connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "read",
];
const PATHS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "chdir",
    "mkdir",
    "mkdirat",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
];

/// Whether a cause of this code cannot come about on this machine without a failed call of the program's.
pub(super) fn leaves_a_call(code: Code) -> bool {
    matches!(
        code,
        Code::MissingFile
            | Code::DiskFull
            | Code::ReadOnly
            | Code::FdExhausted
            | Code::PortInUse
            | Code::ThreadLimit
    )
}

/// Whether the cause is a limit of the whole process or file system: whichever call met it is the right one.
pub(super) fn is_shared(code: Code) -> bool {
    matches!(
        code,
        Code::FdExhausted | Code::ThreadLimit | Code::DiskFull | Code::AllocFailed
    )
}

/// Whether a call fits what was said: the same cause, or a beginning of it.
pub(super) fn fits(call: &Failed<'_>, code: Code) -> bool {
    let late = matches!(
        code,
        Code::ConnRefused | Code::ConnTimeout | Code::Unreachable | Code::ConnReset
    );
    cause(call) == Some(code) || (late && call.is_under_way())
}

/// How well the text names what the call was about: 3 as a whole, 2 an address by its port or host, or a path by a last
/// part that is like no word, 1 by a last part that could be one; 0: not at all.
pub(super) fn named(text: &str, call: &Failed<'_>) -> u8 {
    let Some(argument) = call.argument.filter(|argument| argument.len() >= 3) else {
        return 0;
    };
    if text.contains(argument) {
        return 3;
    }
    match argument.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => {
            let host = host.trim_matches(['[', ']']);
            let unspecific = matches!(host, "0.0.0.0" | "::");
            let host_said = !unspecific && text.contains(host);
            u8::from(has_number(text, port) || host_said) * 2
        }
        _ => {
            let name = argument.rsplit('/').next().unwrap_or(argument);
            let said = name.len() >= 3 && text.contains(name);
            let like_no_word = name.contains(['.', '-', '_']);
            u8::from(said) * (1 + u8::from(like_no_word))
        }
    }
}

/// Whether it is what a runtime does to print an error, or a loader to find a library by trying: the sources and symbols of
/// a trace, translations of messages.
pub(super) fn is_by_the_way(call: &Failed<'_>) -> bool {
    let Some(path) = call
        .argument
        .filter(|path| path.contains('/') || path.contains('.'))
    else {
        return false;
    };
    let ends = [
        ".mo",
        ".dwp",
        ".dwo",
        ".debug",
        ".py",
        ".pyc",
        ".so.preload",
    ];
    let within = [
        "/usr/lib/debug/",
        "/locale/",
        "/gconv/",
        "/.build-id/",
        "/nscd/",
    ];
    ends.iter().any(|end| path.ends_with(end)) || within.iter().any(|part| path.contains(part))
}

/// Whether the number stands in the text by itself.
fn has_number(text: &str, number: &str) -> bool {
    text.match_indices(number).any(|(at, _)| {
        let digit = |c: char| c.is_ascii_digit();
        let before = text[..at].chars().next_back();
        let after = text[at + number.len()..].chars().next();
        !before.is_some_and(digit) && !after.is_some_and(digit)
    })
}
