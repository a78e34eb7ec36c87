//! Load in the machine: a sidecar that submits numbered objects, calls that fail, and deaths. Everything is told to the host.

use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use super::super::http::Client;
use super::super::load;
use super::super::protocol::{API_PORT, News};
use super::Host;
use crate::deaths::Death;
use crate::exec;
use crate::stage::Cgroup;
use crate::timing::Stopwatch;

const VICTIM: &str = "/bin/blackbox-victim";
/// Failing calls for each object.
const CALLS: usize = 4;
/// From one try to the next while the daemon is away.
const AWAY: Duration = Duration::from_millis(50);
/// Programs that are started between two looks at the clock.
const BURST: u64 = 32;

/// Submits an object each `every`, as long as the machine runs. While the daemon is away it tries again with the same one.
pub(super) fn start(every: Duration, host: &Host) {
    in_thread(host, move |host| {
        let mut client = None;
        for counter in 1.. {
            let body = load::body(counter).to_string();
            while !submit(&mut client, &body)? {
                thread::sleep(AWAY);
            }
            host.tell(&News::Accepted {
                counter,
                at: boot_nanos(),
            });
            for _ in 0..CALLS {
                // Fails, as is wanted.
                std::fs::metadata("/nowhere").ok();
            }
            thread::sleep(every);
        }
        Ok(())
    });
}

/// Whether an object was taken. `false`: the daemon is away, or has no room.
fn submit(client: &mut Option<Client>, body: &str) -> Result<bool> {
    if client.is_none() {
        *client = Client::connect(API_PORT).ok();
    }
    let Some(connected) = client else {
        return Ok(false);
    };
    match connected.ask("POST", "/api/v1/telemetry", body) {
        Ok((200, _)) => Ok(true),
        Ok((429 | 503, _)) => Ok(false),
        Ok((status, answer)) => bail!("telemetry is answered with {status}: {answer}"),
        Err(_) => {
            *client = None;
            Ok(false)
        }
    }
}

/// Sets the wall clock to `nanos` after 1970.
pub(super) fn set_clock(nanos: i64) -> Result<()> {
    let time = Timespec {
        tv_sec: nanos / 1_000_000_000,
        tv_nsec: nanos % 1_000_000_000,
    };
    clock_settime(ClockId::Realtime, time).context("setting the clock")
}

/// Lets a process die.
pub(super) fn stage(death: Death, host: &Host) {
    in_thread(host, move |host| {
        let staged = death.stage(Path::new(VICTIM))?;
        host.tell(&News::Staged {
            truth: staged.truth.clone(),
            at: boot_nanos(),
        });
        Ok(())
    });
}

/// Floods the node for `seconds`: failing calls and forks in `floods` cgroups, started programs in another.
pub(super) fn storm(seconds: u64, floods: u64, host: &Host) {
    in_thread(host, move |host| {
        let cgroups = (0..floods).map(|at| Cgroup::create(&format!("storm/flood-{at}")));
        let cgroups: Vec<Cgroup> = cgroups.collect::<Result<_>>()?;
        let burst = Cgroup::create("storm/burst")?;
        let watch = Stopwatch::start();
        let mut flooding = Vec::new();
        for cgroup in &cgroups {
            let mut flood = cgroup.command(VICTIM)?;
            flood.args(["flood", &seconds.to_string()]);
            flooding.push(flood.stdout(Stdio::piped()).spawn()?);
        }
        let mut said = Vec::new();
        let mut programs = 0;
        while watch.elapsed().as_secs() < seconds {
            exec::read(burst.command(VICTIM)?.args(["burst", &BURST.to_string()]))?;
            programs += BURST;
        }
        for flood in flooding {
            let words = String::from_utf8(flood.wait_with_output()?.stdout)?;
            said.push(words.trim().to_owned());
        }
        host.tell(&News::Stormed {
            said: format!("{programs} programs; {}", said.join(" ")),
        });
        Ok(())
    });
}

fn in_thread(host: &Host, work: impl FnOnce(&Host) -> Result<()> + Send + 'static) {
    let host = host.clone();
    thread::spawn(move || {
        if let Err(error) = work(&host) {
            host.tell_failure(&error);
        }
    });
}

/// `CLOCK_BOOTTIME`, ns.
pub(super) fn boot_nanos() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
