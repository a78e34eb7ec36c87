//! What goes wrong in a soak, one after the other. Each is over when it returns.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use xtask::timing::wait_for;

use crate::ground::{Ground, ask, run};
use crate::lab::{self, LIMIT, Life, VICTIM, send};

pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) play: fn(&mut Ground) -> Result<()>,
}

pub(crate) const FAULTS: [Fault; 12] = [
    Fault {
        name: "out of memory",
        play: out_of_memory,
    },
    Fault {
        name: "a crash loop",
        play: crash_loop,
    },
    Fault {
        name: "a kill from outside",
        play: kill_from_outside,
    },
    Fault {
        name: "a flood of calls that fail",
        play: |ground| storm(ground, "calls"),
    },
    Fault {
        name: "the disk is full",
        play: full_disk,
    },
    Fault {
        name: "a fork storm",
        play: |ground| storm(ground, "forks"),
    },
    Fault {
        name: "the daemon stands still",
        play: stand_still,
    },
    Fault {
        name: "the directory of reports is gone",
        play: directory_gone,
    },
    Fault {
        name: "nonsense at the API",
        play: nonsense,
    },
    Fault {
        name: "forty containers die at once",
        play: many_die,
    },
    Fault {
        name: "the disk is read-only",
        play: read_only,
    },
    Fault {
        name: "containers come and go",
        play: churn,
    },
];

fn out_of_memory(ground: &mut Ground) -> Result<()> {
    let limited = lab::cgroup("limited")?;
    limited.set_memory_limit(32 << 20)?;
    let (pid, status, _) = lab::run(&limited, &["oom"])?;
    ensure!(!status.success(), "it got what it wanted");
    ground.proven(pid)
}

fn crash_loop(ground: &mut Ground) -> Result<()> {
    // What happens in one container before the first end has settled is one incident.
    let (first, _, _) = lab::run(&ground.cgroup, &["segv-null"])?;
    for _ in 0..10 {
        lab::run(&ground.cgroup, &["segv-null"])?;
    }
    ground.proven(first)
}

fn kill_from_outside(ground: &mut Ground) -> Result<()> {
    let mut life = Life::start(&ground.cgroup, VICTIM, &["serve"])?;
    life.wait_for_word("ready")?;
    let pid = life.pid();
    send(&ground.cgroup, pid, "9")?;
    life.end()?;
    ground.proven(pid)
}

fn storm(ground: &mut Ground, kind: &str) -> Result<()> {
    let (_, status, output) = lab::run(&ground.cgroup, &[kind, "2"])?;
    ensure!(status.success(), "{status}: {output}");
    Ok(())
}

fn stand_still(ground: &mut Ground) -> Result<()> {
    ground.signal(Signal::STOP)?;
    thread::sleep(Duration::from_secs(2));
    ground.signal(Signal::CONT)
}

fn full_disk(ground: &mut Ground) -> Result<()> {
    let filler = ground.disk().join("filler");
    let mut file = File::create(&filler)?;
    let page = vec![1; 64 << 10];
    while file.write_all(&page).is_ok() {}
    let told = ground.wait_durable(false);
    drop(file);
    fs::remove_file(filler)?;
    told?;
    ground.wait_durable(true)
}

fn directory_gone(ground: &mut Ground) -> Result<()> {
    ground.read_new()?;
    fs::remove_dir_all(ground.disk().join("reports"))?;
    ground.wait_durable(true)
}

fn read_only(ground: &mut Ground) -> Result<()> {
    let disk = ground.disk();
    let disk = disk.to_string_lossy();
    // A report that is being written holds it.
    let remounted = wait_for(LIMIT, || {
        anyhow::Ok(run("mount", &["-o", "remount,ro", &disk]).ok())
    })?;
    remounted.context("the disk stays busy")?;
    let told = ground.wait_durable(false);
    run("mount", &["-o", "remount,rw", &disk])?;
    told?;
    ground.wait_durable(true)
}

fn nonsense(ground: &mut Ground) -> Result<()> {
    // Connections that ask nothing, and one that stops in the middle of a word.
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(("127.0.0.1", ground.port))?;
        stream.write_all(b"POST /api/v1/tele")?;
        open.push(stream);
    }
    let deep = "[".repeat(10_000);
    let large = vec![b'x'; 2 << 20];
    for body in [b"{".as_slice(), b"\0\xff", deep.as_bytes(), &large] {
        // A body that is too large may be answered by a closed connection.
        if let Ok(answer) = ask(ground.port, "POST", "/api/v1/telemetry", body) {
            ensure!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
    }
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

fn many_die(ground: &mut Ground) -> Result<()> {
    let mut lives = Vec::new();
    for number in 0..40 {
        let cgroup = lab::cgroup(&format!("dies-{number}"))?;
        lives.push((Life::start(&cgroup, VICTIM, &["sleep"])?, cgroup));
    }
    // They differ by a number: one story, told of the first.
    let first = lives[0].0.pid();
    for (life, _cgroup) in lives {
        life.kill()?;
    }
    ground.proven(first)
}

fn churn(_ground: &mut Ground) -> Result<()> {
    for number in 0..100 {
        let cgroup = lab::cgroup(&format!("churn-{number}"))?;
        let (_, status, _) = lab::run(&cgroup, &["short"])?;
        ensure!(status.code() == Some(3), "{status}");
    }
    Ok(())
}
