//! The thread that switches programs on and off that run at every call of the node: the one thread that keeps capabilities,
//! and does nothing else.
//!
//! Takes the loaded object, whose links live as long as this thread; answers each order with how it went, and what the programs
//! cost. Those of the tail are on only while a container is armed: `tail_enter` is attached, and `sys_exit` goes on with
//! `tail_exit`. `sys_exit` itself is on unless it costs too much.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use aya::Ebpf;
use aya::maps::{MapData, MapError, ProgramArray};
use aya::programs::BtfTracePoint;
use aya::programs::tp_btf::BtfTracePointLinkId;

use crate::clock;
use crate::privileges::seccomp::Role;
use crate::privileges::{Kept, Vow};
use crate::words::chain;

/// The program of each call's begin, and the one that `sys_exit` goes on with.
const ENTER: &str = "tail_enter";
const EXIT: &str = "tail_exit";
/// The one that looks at every call.
pub(super) const CALLS: &str = "sys_exit";
/// Both of the tail, and the tracepoints they are for.
pub(super) const TAIL: [(&str, &str); 2] = [(ENTER, "sys_enter"), (EXIT, "sys_exit")];
/// Where `sys_exit` looks what it goes on with.
const PLACE: u32 = 0;

/// Calls of one round of measuring, and how many rounds: about a millisecond.
const ROUND: u32 = 1000;
const ROUNDS: u32 = 5;
/// Programs never cost less than this, ns: a measurement that says so was disturbed.
const LEAST: u64 = 20;

/// What is switched, whether it shall be on, and where the outcome goes.
type Order = (Which, bool, SyncSender<Result<Option<u64>, String>>);

/// What can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Tail,
    Calls,
}

/// What is on when the thread begins.
#[derive(Debug)]
pub(super) struct Begun {
    /// `sys_exit` as it was attached; `None`: it is not, or a pin keeps it.
    pub(super) calls: Option<BtfTracePointLinkId>,
    /// What it adds to a call, ns.
    pub(super) call_cost: u64,
}

/// The other end of the thread. Dropped, the thread ends and with it every program.
#[derive(Debug)]
pub(super) struct Switch {
    orders: SyncSender<Order>,
    /// What one run of the tail's programs costs, ns, while they are attached.
    tail_cost: Option<u64>,
    call_cost: u64,
    kept: Kept,
}

impl Switch {
    /// Starts the thread, which takes over the object, where its `sys_exit` goes on, and `vow`; and waits until it has. To be
    /// called before this process gives its capabilities up.
    ///
    /// # Errors
    /// When the kernel has no thread left.
    pub(super) fn start(
        ebpf: Ebpf,
        after_call: ProgramArray<MapData>,
        begun: Begun,
        vow: Vow,
    ) -> std::io::Result<Self> {
        let Begun { calls, call_cost } = begun;
        let (orders, taken) = sync_channel(1);
        let (answer, answered) = sync_channel(1);
        std::thread::Builder::new()
            .name("attach".to_owned())
            .spawn(move || {
                // Nobody hears it: then nobody orders anything either.
                if answer.send(vow.take(Role::Attach)).is_ok() {
                    let programs = Programs {
                        ebpf,
                        after_call,
                        enter: None,
                        calls,
                    };
                    serve(programs, &taken);
                }
            })?;
        let kept = answered.recv().map_err(std::io::Error::other)?;
        Ok(Self {
            orders,
            tail_cost: None,
            call_cost,
            kept,
        })
    }

    /// What the thread has given up.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// What both programs of the tail cost a call of which nothing is kept, ns, as it was measured; `None`: they are not
    /// attached.
    pub(super) fn tail_cost(&self) -> Option<u64> {
        self.tail_cost
    }

    /// What `sys_exit` costs a call that it has nothing to tell of, ns, as it was measured.
    pub(super) fn call_cost(&self) -> u64 {
        self.call_cost
    }

    /// Attaches or detaches both programs of the tail, and waits until that is done.
    ///
    /// # Errors
    /// Why it could not be done.
    pub(super) fn tail(&mut self, on: bool) -> Result<(), String> {
        if self.tail_cost.is_some() != on {
            self.tail_cost = self.order(Which::Tail, on)?;
        }
        Ok(())
    }

    /// Attaches or detaches `sys_exit`, and waits until that is done.
    ///
    /// # Errors
    /// Why it could not be done: a pin keeps it, for one.
    pub(super) fn calls(&mut self, on: bool) -> Result<(), String> {
        self.order(Which::Calls, on).map(drop)
    }

    fn order(&self, which: Which, on: bool) -> Result<Option<u64>, String> {
        let (answer, answered) = sync_channel(1);
        let gone = || "the thread that attaches programs has ended".to_owned();
        let order = (which, on, answer);
        self.orders.send(order).map_err(|_gone| gone())?;
        answered.recv().map_err(|_gone| gone())?
    }
}

fn serve(mut programs: Programs, orders: &Receiver<Order>) {
    for (which, on, answer) in orders {
        let outcome = match (which, on) {
            (Which::Tail, true) => {
                let before = call_nanos();
                let on = programs.on();
                on.map(|()| Some(added_since(before)))
            }
            (Which::Tail, false) => programs.off().map(|()| None),
            (Which::Calls, true) => programs.calls_on().map(|()| None),
            (Which::Calls, false) => programs.calls_off().map(|()| None),
        };
        if answer.send(outcome).is_err() {
            break;
        }
    }
    // Where `sys_exit` goes on may be pinned, and outlive this process.
    if let Err(error) = programs.off() {
        tracing::debug!(
            error,
            "the programs that keep every call are left to the next daemon"
        );
    }
}

/// What is added since to a call that took `before`, ns.
pub(super) fn added_since(before: u64) -> u64 {
    call_nanos().saturating_sub(before).max(LEAST)
}

/// What a call that does nothing takes now, ns: the best of some rounds, so that an interruption does not count.
pub(super) fn call_nanos() -> u64 {
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

/// The loaded object, and what of it is on.
struct Programs {
    ebpf: Ebpf,
    after_call: ProgramArray<MapData>,
    enter: Option<BtfTracePointLinkId>,
    calls: Option<BtfTracePointLinkId>,
}

impl Programs {
    fn calls_off(&mut self) -> Result<(), String> {
        let kept = "a pin keeps the program on sys_exit attached";
        let link = self.calls.take().ok_or(kept)?;
        let detached = program(&mut self.ebpf, CALLS)?.detach(link);
        detached.map_err(|error| chain(&error))
    }

    fn calls_on(&mut self) -> Result<(), String> {
        let attached = program(&mut self.ebpf, CALLS)?.attach();
        self.calls = Some(attached.map_err(|error| chain(&error))?);
        Ok(())
    }

    fn on(&mut self) -> Result<(), String> {
        let enter = program(&mut self.ebpf, ENTER)?.attach();
        self.enter = Some(enter.map_err(|error| chain(&error))?);
        let going_on = self.go_on();
        if going_on.is_err() {
            // One of them alone would cost and tell nothing.
            self.off()?;
        }
        going_on
    }

    fn go_on(&mut self) -> Result<(), String> {
        let exit = program(&mut self.ebpf, EXIT)?.fd();
        let exit = exit.map_err(|error| chain(&error))?;
        let set = self.after_call.set(PLACE, exit, 0);
        set.map_err(|error| chain(&error))
    }

    fn off(&mut self) -> Result<(), String> {
        forget_exit(&mut self.after_call).map_err(|error| chain(&error))?;
        if let Some(link) = self.enter.take() {
            let detached = program(&mut self.ebpf, ENTER)?.detach(link);
            detached.map_err(|error| chain(&error))?;
        }
        Ok(())
    }
}

/// Lets `sys_exit` end where it ends; what a former daemon left there is gone too.
///
/// # Errors
/// The kernel's.
pub(super) fn forget_exit(after_call: &mut ProgramArray<MapData>) -> Result<(), MapError> {
    match after_call.clear_index(&PLACE) {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    }
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
