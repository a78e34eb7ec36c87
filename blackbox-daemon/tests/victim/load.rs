//! Load whose exact size is known: what a test compares the recorder's counts with.

use std::collections::VecDeque;
use std::io::{Error, Read as _, Result, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const AT_ONCE: usize = 16;
const CALLS_PER_CHILD: u64 = 2_000;
const SHORT_CODE: Option<i32> = Some(3);

/// Spawns `count` children in mode `short` as fast as it can and prints how many it spawned and reaped.
pub(crate) fn burst(count: u64) -> Result<u8> {
    let program = std::env::current_exe()?;
    let mut running: VecDeque<Child> = VecDeque::new();
    let (mut spawned, mut reaped) = (0_u64, 0_u64);
    while spawned < count || !running.is_empty() {
        if spawned < count && running.len() < AT_ONCE {
            running.push_back(
                Command::new(&program)
                    .arg("short")
                    .stdin(Stdio::null())
                    .spawn()?,
            );
            spawned += 1;
        } else if let Some(mut child) = running.pop_front() {
            reaped += u64::from(child.wait()?.code() == SHORT_CODE);
        }
    }
    println!(r#"{{"spawned":{spawned},"reaped":{reaped}}}"#);
    Ok(0)
}

/// Makes calls that fail with EBADF for `duration`, a child for every 2,000 of them, and prints the counts.
///
/// Nothing else in this program fails with EBADF: the count is exact.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is the load, not the recorder"
)]
pub(crate) fn flood(duration: Duration) -> Result<u8> {
    let start = Instant::now();
    let (mut failed_calls, mut children) = (0_u64, 0_u64);
    while start.elapsed() < duration {
        for _ in 0..CALLS_PER_CHILD {
            failing_call()?;
        }
        failed_calls += CALLS_PER_CHILD;
        fork_and_reap()?;
        children += 1;
    }
    println!(
        r#"{{"failed_calls":{failed_calls},"errno":{},"children":{children}}}"#,
        libc::EBADF
    );
    Ok(0)
}

/// Makes `rate` calls a second that fail with EBADF for `duration`, evenly.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is the load, not the recorder"
)]
pub(crate) fn rain(duration: Duration, rate: u32) -> Result<u8> {
    let start = Instant::now();
    let mut made = 0_u32;
    while start.elapsed() < duration {
        let due = start.elapsed().as_secs_f64() * f64::from(rate);
        while f64::from(made) < due {
            failing_call()?;
            made += 1;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!(r#"{{"failed_calls":{made},"errno":{}}}"#, libc::EBADF);
    Ok(0)
}

/// Waits for a byte, calls getppid for `duration`, and prints the nanoseconds that each call took.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is the load, not the recorder"
)]
pub(crate) fn getppid(duration: Duration) -> Result<u8> {
    std::io::stdin().read_exact(&mut [0])?;
    let start = Instant::now();
    let mut calls = 0_u32;
    while start.elapsed() < duration {
        for _ in 0..1_000 {
            std::hint::black_box(rustix::process::getppid());
        }
        calls += 1_000;
    }
    println!("{}", start.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
    Ok(0)
}

/// What each processor does for `duration`, over and over; prints how often it was done.
#[expect(
    clippy::disallowed_methods,
    reason = "this program is the load, not the recorder"
)]
fn on_each_processor(
    duration: Duration,
    what: &str,
    (once, times): (fn() -> Result<()>, u64),
) -> Result<u8> {
    let start = Instant::now();
    let work = move || {
        let mut done = 0;
        while start.elapsed() < duration {
            for _ in 0..times {
                once()?;
            }
            done += times;
        }
        Ok::<u64, Error>(done)
    };
    let processors = std::thread::available_parallelism()?.get();
    let workers: Vec<_> = (0..processors).map(|_| std::thread::spawn(work)).collect();
    let mut done = 0;
    for worker in workers {
        done += worker
            .join()
            .map_err(|_panic| Error::other("a thread panicked"))??;
    }
    println!(r#"{{"{what}":{done}}}"#);
    Ok(0)
}

/// Calls that fail with EBADF, as many as there can be in `duration`.
pub(crate) fn calls(duration: Duration) -> Result<u8> {
    on_each_processor(duration, "failed_calls", (failing_call, 1_000))
}

/// Children that end at once, likewise.
pub(crate) fn forks(duration: Duration) -> Result<u8> {
    on_each_processor(duration, "children", (fork_and_reap, 1))
}

/// `rounds` times, 20 a second: three calls that fail with EBADF, and a child in mode `short`.
pub(crate) fn quiet(rounds: u64) -> Result<u8> {
    let program = std::env::current_exe()?;
    for _ in 0..rounds {
        for _ in 0..3 {
            failing_call()?;
        }
        let child = Command::new(&program)
            .arg("short")
            .stdin(Stdio::null())
            .status()?;
        if child.code() != SHORT_CODE {
            return Err(Error::other("a child ended otherwise"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!(r#"{{"failed_calls":{},"children":{rounds}}}"#, 3 * rounds);
    Ok(0)
}

#[expect(unsafe_code, reason = "std has no call that fails in a chosen way")]
fn failing_call() -> Result<()> {
    // SAFETY: -1 is never a descriptor, so nothing is closed.
    let result = unsafe { libc::close(-1) };
    let error = Error::last_os_error();
    if result == -1 && error.raw_os_error() == Some(libc::EBADF) {
        Ok(())
    } else {
        Err(error)
    }
}

#[expect(unsafe_code, reason = "std only forks to exec")]
fn fork_and_reap() -> Result<()> {
    // SAFETY: the child does nothing but _exit, which is allowed whatever other threads hold.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        child
    };
    let mut status = 0;
    // SAFETY: `status` outlives the call. A failed fork (-1) would wait for any child: excluded first.
    if child < 0 || unsafe { libc::waitpid(child, &mut status, 0) } != child {
        return Err(Error::last_os_error());
    }
    Ok(())
}

/// Work that one answer takes.
const ANSWER_ROUNDS: u64 = 20_000_000;

/// Answers HTTP requests on loopback, one after the other, while two threads work without end.
pub(crate) fn answer(port: u16) -> Result<u8> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for _ in 0..2 {
        std::thread::spawn(|| {
            loop {
                work(ANSWER_ROUNDS);
            }
        });
    }
    for client in listener.incoming() {
        let mut client = client?;
        let mut request = [0; 512];
        // A client that has gone is no reason to stop.
        if client.read(&mut request).is_ok() {
            work(ANSWER_ROUNDS);
            client
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")
                .ok();
        }
    }
    Ok(0)
}

fn work(rounds: u64) {
    let mut value = 1_u64;
    for round in 0..rounds {
        value = std::hint::black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(round),
        );
    }
}

/// Starts `count` children in mode `pause`, which end with this process; says so, and waits to be killed.
pub(crate) fn crowd(count: u64) -> Result<u8> {
    let program = std::env::current_exe()?;
    for _ in 0..count {
        let mut command = Command::new(&program);
        command
            .arg("pause")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        end_with_parent(&mut command);
        command.spawn()?;
    }
    println!("ready");
    pause()
}

#[expect(unsafe_code, reason = "only code between fork and exec can ask for it")]
fn end_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: prctl(2) is async-signal-safe and touches no memory here.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(Error::last_os_error()),
            },
        );
    }
}

/// Sleeps until it is killed.
pub(crate) fn pause() -> Result<u8> {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}
