//! The filter of system calls, put on for real: what is forbidden answers EPERM and is counted, what is needed works.
//!
//! Each test runs again in a process of its own, where a filter that does not hold can do no harm to other tests.

use std::io::{self, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;

use blackbox_daemon::privileges::seccomp::{self, Role, denied};

/// Set in the process in which the test is really run.
const INSIDE: &str = "TEST_SECCOMP_INSIDE";

/// Runs `test` of this name in a process of its own.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        test();
        return;
    }
    let own = std::env::current_exe().expect("this program");
    let mut command = Command::new(own);
    command
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1");
    let output = command.output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{text}\n{errors}",
        output.status
    );
    assert!(text.contains("1 passed"), "{text}");
}

/// A system call as it is; the arguments are numbers, or addresses of what outlives the call.
#[expect(
    unsafe_code,
    reason = "the library has no function for what is forbidden"
)]
fn call(number: libc::c_long, arguments: [usize; 5]) -> io::Result<libc::c_long> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: denied before the kernel looks at an argument; those that are allowed are told what they may read.
    match unsafe { libc::syscall(number, a, b, c, d, e) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

fn answer(number: libc::c_long, arguments: [usize; 5]) -> Option<i32> {
    call(number, arguments).err()?.raw_os_error()
}

const EPERM: Option<i32> = Some(libc::EPERM);

/// A call by name and number, and what it is told.
type Call = (&'static str, libc::c_long, [usize; 5]);

/// Attributes of bpf(2) and of clone3(2): nothing that is asked for.
static ZEROS: [u64; 16] = [0; 16];

/// Without the filter each of these does something, or answers otherwise.
fn forbidden() -> Vec<Call> {
    let program = c"/bin/true".as_ptr() as usize;
    let root = c"/".as_ptr() as usize;
    let own = std::process::id() as usize;
    let zeros = (ZEROS.as_ptr() as usize, size_of_val(&ZEROS));
    let raw = libc::SOCK_RAW as usize;
    let socket = |family: libc::c_int, kind, protocol| {
        let told = [family as usize, kind, protocol, 0, 0];
        ("socket", libc::SYS_socket, told)
    };
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let (write, execute) = (libc::PROT_WRITE as usize, libc::PROT_EXEC as usize);
    vec![
        ("execve", libc::SYS_execve, [program, 0, 0, 0, 0]),
        (
            "execveat",
            libc::SYS_execveat,
            [usize::MAX, program, 0, 0, 0],
        ),
        (
            "ptrace",
            libc::SYS_ptrace,
            [libc::PTRACE_ATTACH as usize, 1, 0, 0, 0],
        ),
        (
            "process_vm_readv",
            libc::SYS_process_vm_readv,
            [own, 0, 0, 0, 0],
        ),
        ("kill", libc::SYS_kill, [own, 0, 0, 0, 0]),
        ("tgkill", libc::SYS_tgkill, [1, 1, 0, 0, 0]),
        ("mount", libc::SYS_mount, [root, root, 0, 0, 0]),
        ("init_module", libc::SYS_init_module, [0; 5]),
        ("unshare", libc::SYS_unshare, [0; 5]),
        ("setns", libc::SYS_setns, [usize::MAX, 0, 0, 0, 0]),
        // A process, and a thread in a new namespace.
        (
            "clone",
            libc::SYS_clone,
            [libc::SIGCHLD as usize, 0, 0, 0, 0],
        ),
        (
            "clone",
            libc::SYS_clone,
            [
                (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_NEWNET) as usize,
                0,
                0,
                0,
                0,
            ],
        ),
        // BPF_PROG_LOAD.
        ("bpf", libc::SYS_bpf, [5, zeros.0, zeros.1, 0, 0]),
        ("setresuid", libc::SYS_setresuid, [0; 5]),
        ("capset", libc::SYS_capset, [0; 5]),
        ("perf_event_open", libc::SYS_perf_event_open, [0; 5]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        socket(libc::AF_PACKET, raw, 0),
        socket(libc::AF_INET, raw, 1),
        socket(libc::AF_VSOCK, libc::SOCK_STREAM as usize, 0),
        socket(libc::AF_NETLINK, raw, libc::NETLINK_AUDIT as usize),
        (
            "mmap",
            libc::SYS_mmap,
            [0, 4096, write | execute, anonymous, usize::MAX],
        ),
        (
            "mmap",
            libc::SYS_mmap,
            [0, 4096, execute, anonymous, usize::MAX],
        ),
        ("mprotect", libc::SYS_mprotect, [0, 0, execute, 0, 0]),
        ("prlimit64", libc::SYS_prlimit64, [1, 7, 0, 0, 0]),
    ]
}

#[test]
fn what_is_forbidden_answers_eperm_and_is_counted() {
    alone("what_is_forbidden_answers_eperm_and_is_counted", || {
        for role in [Role::Most, Role::Attach] {
            let asked = thread::spawn(move || {
                seccomp::install(role).expect("a filter");
                for (name, number, arguments) in forbidden() {
                    let before = denied::total();
                    assert_eq!(answer(number, arguments), EPERM, "{name}, {role:?}");
                    assert_eq!(denied::total(), before + 1, "{name}, {role:?}");
                    let counted = denied::by_call().iter().any(|(call, _)| *call == name);
                    assert!(counted, "{name}");
                }
                // What clone3 is told cannot be seen: the C library has another way.
                let clone3 = [ZEROS.as_ptr() as usize, 88, 0, 0, 0];
                assert_eq!(answer(libc::SYS_clone3, clone3), Some(libc::ENOSYS));
            });
            asked.join().expect("every answer as expected");
        }
    });
}

/// Bad attributes answer otherwise than a denied command.
#[test]
fn each_thread_has_its_commands_of_bpf() {
    alone("each_thread_has_its_commands_of_bpf", || {
        static ATTRIBUTES: [u64; 16] = [u64::MAX; 16];
        let bpf = |command| {
            let attributes = &raw const ATTRIBUTES as usize;
            answer(
                libc::SYS_bpf,
                [command, attributes, size_of_val(&ATTRIBUTES), 0, 0],
            )
        };
        // Lookup, update, delete, next key; attach to a raw tracepoint, make a link; make a map, load, pin.
        let commands = [1, 2, 3, 4, 17, 28, 0, 5, 6];
        let denied = |role| {
            let asked = thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    seccomp::install(role).expect("a filter");
                    commands.map(|command| {
                        let before = denied::total();
                        let answer = bpf(command);
                        let denied = denied::total() > before;
                        assert!(!denied || answer == EPERM, "{command}: {answer:?}");
                        denied
                    })
                });
                thread.join()
            });
            asked.expect("no panic")
        };
        let [most, attach] = [Role::Most, Role::Attach].map(denied);
        assert_eq!(
            most,
            [false, false, false, false, true, true, true, true, true]
        );
        assert_eq!(
            attach,
            [true, false, false, true, false, false, true, true, true]
        );
    });
}

#[test]
fn what_the_daemon_does_is_allowed() {
    alone("what_the_daemon_does_is_allowed", || {
        seccomp::install(Role::Most).expect("a filter");
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = std::fs::File::create(folder.path().join("file")).expect("a file");
        file.write_all(b"it").expect("written");
        file.set_len(1 << 16).expect("longer");
        file.sync_all().expect("durable");
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 1 << 16)
            .expect("room");
        rustix::fs::fdatasync(&file).expect("durable");
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 9).expect("written in place");
        std::fs::rename(folder.path().join("file"), folder.path().join("other")).expect("renamed");
        let listener = TcpListener::bind("[::1]:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = thread::spawn(move || std::net::TcpStream::connect(address));
        listener.accept().expect("a connection");
        client.join().expect("no panic").expect("a connection");
        UdpSocket::bind("127.0.0.1:0").expect("a port");
        UnixStream::pair().expect("a pair");
        let names = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 1));
        assert!(names.expect("an address").count() > 0);
        assert_eq!(denied::by_call(), []);
    });
}

/// A signal that somebody sent is no denied call.
#[test]
fn a_signal_of_somebodys_is_not_counted() {
    alone("a_signal_of_somebodys_is_not_counted", || {
        seccomp::install(Role::Most).expect("a filter");
        let (own, thread) = (std::process::id() as usize, rustix::thread::gettid());
        let thread = thread.as_raw_nonzero().get() as usize;
        call(libc::SYS_tgkill, [own, thread, libc::SIGSYS as usize, 0, 0]).expect("allowed");
        assert_eq!(denied::by_call(), []);
    });
}

/// A panic is told, with its backtrace, and ends one thread.
#[test]
fn a_panic_is_told_under_the_filter() {
    alone("a_panic_is_told_under_the_filter", || {
        seccomp::install(Role::Most).expect("a filter");
        let panicked = thread::spawn(|| {
            let backtrace = std::backtrace::Backtrace::force_capture().to_string();
            assert!(backtrace.contains("seccomp"), "{backtrace}");
            panic!("on purpose");
        });
        assert!(panicked.join().is_err());
        assert_eq!(denied::by_call(), []);
    });
}
