//! A step of a start: what one record says of the way a program takes, without what differs from run to run.
//!
//! Today: a program that was started, and a call that failed, with its path or peer. Whatever else is recorded of a start
//! one day becomes a step in [`step`], and nowhere else. Numbers of processes, random parts of names and ports that
//! the kernel chose are left out, for no two runs share them.

use std::collections::HashMap;

use crate::record::{Event, FailedCall, ProcessKey, Record};
use crate::words;

/// Most bytes of a step.
const LONGEST: usize = 256;
/// Connections of a run that wait for their outcome.
const MOST_PEERS: usize = 64;
/// First port that Linux gives to whoever asks for none (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;
/// Where any name is a temporary one.
const TEMPORARY: [&str; 3] = ["/tmp/", "/var/tmp/", "/dev/shm/"];

/// Peers of connections that began, by process and descriptor: their outcome is told without them.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Peers(HashMap<(ProcessKey, u64), String>);

/// The step that a record is, in words: `exec /usr/bin/app`, `openat /etc/app.yaml → ENOENT`. `None`: it is none.
pub(super) fn step(record: &Record, peers: &mut Peers) -> Option<String> {
    let mut text = match &record.event {
        Event::Exec(exec) => format!("exec {}", steady(&exec.exe)),
        Event::FailedCall(call) => failed(call, record.subject.process()?.key, peers)?,
        _ => return None,
    };
    text.truncate(text.floor_char_boundary(LONGEST));
    Some(words::printable(&text).into_owned())
}

/// A call that failed, if that says anything of the way taken.
fn failed(call: &FailedCall, process: ProcessKey, peers: &mut Peers) -> Option<String> {
    let (name, errno) = (words::call(call.nr, call.compat), words::errno(call.errno));
    let socket = (process, call.args[0]);
    if let ("connect", "EINPROGRESS", Some(peer)) = (&*name, &*errno, &call.argument)
        && peers.0.len() < MOST_PEERS
    {
        peers.0.insert(socket, steady(peer));
    }
    let argument = call.argument.as_deref().map(steady);
    match (argument, &*errno) {
        // Whether it had to wait is chance.
        (_, "EINTR" | "EAGAIN") => None,
        (Some(argument), _) => Some(format!("{name} {argument} → {errno}")),
        (None, _) if name == "getsockopt" => {
            let peer = peers.0.remove(&socket)?;
            Some(format!("connect {peer} → {errno}"))
        }
        (
            None,
            "EPERM" | "EACCES" | "ENOMEM" | "EMFILE" | "ENFILE" | "ENOSPC" | "EDQUOT" | "EROFS"
            | "EIO",
        ) => Some(format!("{name} → {errno}")),
        // Without an argument one cannot be told from another, and most are how programs ask.
        (None, _) => None,
    }
}

/// A path or a peer as it is in every run.
pub(super) fn steady(text: &str) -> String {
    if let Some(directory) = TEMPORARY.iter().find(|it| text.starts_with(**it)) {
        return format!("{directory}*");
    }
    if text.starts_with('/') {
        return text.split('/').map(segment).collect::<Vec<_>>().join("/");
    }
    match text.rsplit_once(':') {
        Some((address, port)) if port.parse().is_ok_and(|port: u16| port >= EPHEMERAL) => {
            format!("{address}:*")
        }
        _ => text.to_owned(),
    }
}

/// A part of a path. Numbers of four digits and more, hexadecimal ones of eight (with a digit), and whole names that are
/// numbers (`/proc/17`) become `*`.
fn segment(name: &str) -> String {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return "*".to_owned();
    }
    let mut steady = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let run = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_hexdigit())
                .len();
        let (hex, after) = rest.split_at(run.max(first.len_utf8()));
        let digits = hex.bytes().filter(u8::is_ascii_digit).count();
        match digits == hex.len() && digits >= 4 || digits > 0 && hex.len() >= 8 {
            true => steady.push('*'),
            false => steady.push_str(hex),
        }
        rest = after;
    }
    steady
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BootTime, CgroupId, Comm, Process, Subject};

    fn call(name: &str, errno: u16, argument: Option<&str>) -> Record {
        let start = BootTime(1);
        let key = ProcessKey { tgid: 7, start };
        let comm = Comm::from_text("app");
        let process = Process {
            key,
            tid: 7,
            comm,
            cgroup: CgroupId(1),
        };
        let event = Event::FailedCall(FailedCall {
            nr: name.parse::<syscalls::Sysno>().unwrap().id() as u32,
            errno,
            args: [5, 0, 0],
            argument: argument.map(str::to_owned),
            compat: false,
        });
        Record {
            at: start,
            subject: Subject::Process(process),
            event,
        }
    }

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        for (text, same) in [
            ("/proc/4711/maps", "/proc/*/maps"),
            ("/proc/self/fd/6", "/proc/self/fd/*"),
            ("/tmp/tmpx81k_2/a", "/tmp/*"),
            (
                "/usr/lib/python3.11/lib.so.6",
                "/usr/lib/python3.11/lib.so.6",
            ),
            ("/c/x.pyc.140234234", "/c/x.pyc.*"),
            (
                "/var/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/x",
                "/var/*-4b5a-*-*-*/x",
            ),
            ("/data/feedface/deadbeef1", "/data/feedface/*"),
            ("10.0.0.1:5432", "10.0.0.1:5432"),
            ("10.0.0.1:40000", "10.0.0.1:*"),
            ("[fd00::1]:53", "[fd00::1]:53"),
            ("relative/1234567", "relative/1234567"),
        ] {
            assert_eq!(steady(text), same);
        }
    }

    #[test]
    fn calls_that_are_chance_are_no_steps() {
        let mut peers = Peers::default();
        let mut of = |name, errno, argument| step(&call(name, errno, argument), &mut peers);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            of("openat", 2, Some("/etc/a")),
            some("openat /etc/a → ENOENT")
        );
        assert_eq!(of("read", 11, None), None);
        assert_eq!(of("ioctl", 25, None), None);
        assert_eq!(of("mmap", 12, None), some("mmap → ENOMEM"));
        assert_eq!(of("getsockopt", 111, None), None);
        assert_eq!(
            of("connect", 115, Some("10.0.0.1:80")),
            some("connect 10.0.0.1:80 → EINPROGRESS")
        );
        assert_eq!(
            of("getsockopt", 111, None),
            some("connect 10.0.0.1:80 → ECONNREFUSED")
        );
    }

    #[test]
    fn a_step_has_an_end_and_no_control_characters() {
        let path = format!("/a\n{}", "é".repeat(300));
        let text = step(&call("openat", 2, Some(&path)), &mut Peers::default()).unwrap();
        assert!(
            text.len() <= LONGEST + 4 && text.starts_with("openat /a\u{fffd}é"),
            "{text}"
        );
    }
}
