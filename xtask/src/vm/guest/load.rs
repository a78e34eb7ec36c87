//! Load in the machine: a sidecar that submits numbered objects, calls that fail, and deaths. Everything is told to the host.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};

use super::super::http::Client;
use super::super::load;
use super::super::protocol::{API_PORT, News};
use super::Host;
use crate::deaths::Death;

const VICTIM: &str = "/bin/blackbox-victim";
/// Failing calls for each object.
const CALLS: usize = 4;
/// From one try to the next while the daemon is away.
const AWAY: Duration = Duration::from_millis(50);

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
