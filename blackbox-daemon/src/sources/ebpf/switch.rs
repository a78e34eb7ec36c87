//! The thread that attaches and detaches the programs of the tail: the one thread that keeps capabilities, and does
//! nothing else.
//!
//! Takes the loaded object, whose links live as long as this thread; answers each order with how it went, and what the programs cost. Attached, the two
//! programs run at every call of the node, so they are attached only while a container is armed.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use aya::Ebpf;
use aya::programs::BtfTracePoint;
use aya::programs::tp_btf::BtfTracePointLinkId;

use crate::clock;
use crate::privileges::seccomp::Role;
use crate::privileges::{Kept, Vow};

/// The programs, and the tracepoints they are for.
pub(super) const TAIL: [(&str, &str); 2] = [("tail_enter", "sys_enter"), ("tail_exit", "sys_exit")];

/// Calls of one round of measuring, and how many rounds: about a millisecond.
const ROUND: u32 = 1000;
const ROUNDS: u32 = 5;
/// Two programs never cost less than this, ns: a measurement that says so was disturbed.
const LEAST: u64 = 20;

/// An order, and where its outcome goes.
type Order = (bool, SyncSender<Result<Option<u64>, String>>);

/// The other end of the thread. Dropped, the thread ends and with it every program.
#[derive(Debug)]
pub(super) struct Switch {
    orders: SyncSender<Order>,
    /// What one run of the programs costs, ns, while they are attached.
    cost: Option<u64>,
    kept: Kept,
}

impl Switch {
    /// Starts the thread, which takes the object over, and `vow`; and waits until it has. To be called before this process
    /// gives its capabilities up.
    ///
    /// # Errors
    /// When the kernel has no thread left.
    pub(super) fn start(ebpf: Ebpf, vow: Vow) -> std::io::Result<Self> {
        let (orders, taken) = sync_channel(1);
        let (answer, answered) = sync_channel(1);
        std::thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || {
                // Nobody hears it: then nobody orders anything either.
                if answer.send(vow.take(Role::Attach)).is_ok() {
                    serve(ebpf, &taken);
                }
            })?;
        let kept = answered.recv().map_err(std::io::Error::other)?;
        Ok(Self {
            orders,
            cost: None,
            kept,
        })
    }

    /// What the thread has given up.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What both programs together cost a call of which nothing is kept, ns, as it was measured; `None`: they are not
    /// attached.
    pub(super) fn cost(&self) -> Option<u64> {
        self.cost
    }

    /// Attaches or detaches both programs, and waits until that is done.
    ///
    /// # Errors
    /// Why it could not be done.
    pub(super) fn set(&mut self, on: bool) -> Result<(), String> {
        if self.cost.is_some() == on {
            return Ok(());
        }
        let (answer, answered) = sync_channel(1);
        let gone = || "the thread that attaches programs has ended".to_owned();
        self.orders.send((on, answer)).map_err(|_gone| gone())?;
        self.cost = answered.recv().map_err(|_gone| gone())??;
        Ok(())
    }
}

fn serve(mut ebpf: Ebpf, orders: &Receiver<Order>) {
    let mut links = Vec::new();
    for (on, answer) in orders {
        let outcome = match on {
            true => {
                let before = call_nanos();
                let attached = attach(&mut ebpf, &mut links);
                attached.map(|()| Some(call_nanos().saturating_sub(before).max(LEAST)))
            }
            false => detach(&mut ebpf, &mut links).map(|()| None),
        };
        if answer.send(outcome).is_err() {
            return;
        }
    }
}

/// What a call that does nothing takes now, ns: the best of some rounds, so that an interruption does not count.
fn call_nanos() -> u64 {
    let round = |_| {
        let started = clock::boot_now();
        for _ in 0..ROUND {
            std::hint::black_box(rustix::process::getppid());
        }
        clock::boot_now().since(started).as_nanos() / u128::from(ROUND)
    };
    let best = (0..ROUNDS).map(round).min().unwrap_or(0);
    u64::try_from(best).unwrap_or(u64::MAX)
}

type Links = Vec<(&'static str, BtfTracePointLinkId)>;

fn attach(ebpf: &mut Ebpf, links: &mut Links) -> Result<(), String> {
    for (name, _) in TAIL {
        match program(ebpf, name).and_then(|one| one.attach().map_err(|error| chain(&error))) {
            Ok(link) => links.push((name, link)),
            Err(error) => {
                // One of them alone would cost and tell nothing.
                detach(ebpf, links)?;
                return Err(error);
            }
        }
    }
    Ok(())
}

fn detach(ebpf: &mut Ebpf, links: &mut Links) -> Result<(), String> {
    for (name, link) in links.drain(..) {
        program(ebpf, name)?
            .detach(link)
            .map_err(|error| chain(&error))?;
    }
    Ok(())
}

/// A program of the object.
///
/// # Errors
/// When it has none of that name and kind.
pub(super) fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut BtfTracePoint, String> {
    ebpf.program_mut(name)
        .ok_or_else(|| format!("the kernel object has no program {name}"))?
        .try_into()
        .map_err(|error: aya::programs::ProgramError| chain(&error))
}

/// An error with its sources, on one line: aya's own messages leave the reason to the source.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
