//! Deaths by memory limit: of this process, and of a child that this process outlives.
//!
//! Before it allocates, the victim fails for about a second in ways a report should show: files that are missing
//! and a connection that is refused. It keeps at most [`CAP_BYTES`].

use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Where `oom` gives up, so that it is safe where no limit holds it.
const CAP_BYTES: usize = 1 << 30;
const CHUNK_BYTES: usize = 1 << 20;
const MISSING: [&str; 3] = [
    "/etc/blackbox-demo/config.yaml",
    "/etc/blackbox-demo/config.json",
    "/var/lib/blackbox-demo/cache.db",
];

/// Allocates and touches memory until the kernel ends it; returns 9 at the cap.
pub(crate) fn exhaust() -> std::io::Result<u8> {
    for _ in 0..5 {
        for path in MISSING {
            drop(File::open(path));
        }
        drop(TcpStream::connect(("127.0.0.1", 9)));
        thread::sleep(Duration::from_millis(200));
    }
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() * CHUNK_BYTES < CAP_BYTES {
        held.push(vec![1; CHUNK_BYTES]);
    }
    drop(std::hint::black_box(held));
    Ok(9)
}

/// Keeps `mib` MiB in use, says so, and sleeps 30 s: a victim that does not allocate when the limit is reached.
pub(crate) fn hold(mib: usize) -> std::io::Result<u8> {
    let held = vec![1_u8; mib.min(CAP_BYTES / CHUNK_BYTES) * CHUNK_BYTES];
    println!("holding");
    std::io::stdout().flush()?;
    thread::sleep(Duration::from_secs(30));
    drop(std::hint::black_box(held));
    Ok(0)
}

/// Lets a child die in mode `oom`, prints its pid at the start and its fate at the end, and lives a second longer.
pub(crate) fn exhaust_in_child() -> std::io::Result<u8> {
    let mut child = Command::new(std::env::current_exe()?).arg("oom").spawn()?;
    println!(r#"{{"child":{}}}"#, child.id());
    std::io::stdout().flush()?;
    let status = child.wait()?;
    let number = |value: Option<i32>| value.map_or("null".to_owned(), |value| value.to_string());
    println!(
        r#"{{"child":{},"signal":{},"exit_code":{}}}"#,
        child.id(),
        number(status.signal()),
        number(status.code())
    );
    thread::sleep(Duration::from_secs(1));
    Ok(0)
}
