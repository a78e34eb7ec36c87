//! Loads and attaches the kernel programs; needs CAP_BPF and CAP_PERFMON, and only here.
//!
//! Reads BTF and the embedded object, makes an attached [`Programs`]. Guarantee: a hook that cannot be had is
//! named with its reason and costs only itself.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya::maps::{Array, HashMap as BpfHashMap, Map, MapData, PerCpuArray, ProgramArray};
use aya::programs::links::PinnedLink;
use aya::programs::tp_btf::BtfTracePointLinkId;
use aya::programs::{ProgramError, ProgramFd};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use blackbox_common::daemon::Daemon;
use blackbox_common::syscall::SyscallAccount;
use blackbox_common::tail::TAIL_LEN;
use blackbox_common::tally::Tally;

use super::argument;
use super::btf::{self, Btf};
use super::limits::Limits;
use super::offsets::{self, Hook};
use super::pins::{self, Pins};
use super::ring::Ring;
use super::spending::Spending;
use super::switch::{self, Begun, CALLS, Switch, TAIL};
use super::tail::{Maps, Tails};
use super::verify::{Verified, verify};
use super::wire::Plain;
use super::words::Heard;
use crate::clock;
use crate::privileges::{Kept, Vow};
use crate::sources::cgroup::Hierarchies;
use crate::words::chain;

/// The kernel object, built by `cargo xtask build-ebpf`, compressed; empty when the daemon was built without it.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/blackbox.o.zst"));

/// What `sys_exit` adds to a call on an ordinary machine, ns (`docs/performance.md`).
const USUAL_CALL_COST: u64 = 25;

/// Where the running kernel describes itself.
pub const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Why no program runs at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "this daemon was built without its kernel programs; run `cargo xtask build-ebpf` and build again"
    )]
    NoObject,
    #[error("the kernel object in this daemon cannot be read: {0}")]
    Object(std::io::Error),
    #[error(transparent)]
    Btf(#[from] btf::Error),
    #[error("the kernel refused the maps: {0}; loading needs CAP_BPF and CAP_PERFMON (or root)")]
    Load(#[from] aya::EbpfError),
    #[error("the kernel object has no map {0}")]
    NoMap(&'static str),
    #[error("the kernel object has no usable map: {0}")]
    Map(#[from] aya::maps::MapError),
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("no program could be attached; the first reason: {0}")]
    NoHook(String),
}

/// Programs that run. Dropping it detaches them.
pub struct Programs {
    /// Keeps programs and links alive.
    pub(super) tails: Tails,
    pub(super) crit: Ring,
    pub(super) bulk: Ring,
    pub(super) tally: PerCpuArray<MapData, Plain<Tally>>,
    pub(super) accounts: BpfHashMap<MapData, u64, Plain<SyscallAccount>>,
    pub(super) heard: Heard,
    /// What this daemon tells the programs, and what it leaves.
    pub(super) daemon: Array<MapData, Plain<Daemon>>,
    pub(super) logger: Option<EbpfLogger<&'static dyn tracing_log::log::Log>>,
    /// Every hook: the program attached, or why there is none.
    pub hooks: Vec<Hook>,
    descriptors: Vec<(&'static str, OwnedFd)>,
    /// What a former daemon left goes on: nothing was missed, and the kernel's counts are older than this life.
    pub taken_over: bool,
    /// Keeps what outlives this daemon its own.
    _pins: Option<(Pins, Vec<PinnedLink>)>,
}

impl Programs {
    /// Tells the programs that they are heard, and leaves the counts of which every loss is told to the next daemon.
    pub(super) fn present(&mut self, told: Tally) {
        if let Err(error) = present(&mut self.daemon, told, true) {
            tracing::debug!(%error, "the programs do not know that they are heard");
        }
    }

    /// The counts of which a former daemon had told every loss; zeros if there was none.
    pub(super) fn told_before(&self) -> Tally {
        let before = self.daemon.get(&0, 0).map(|Plain(before)| before.told);
        before.unwrap_or_default()
    }

    /// What the thread that attaches later has given up.
    #[must_use]
    pub fn kept(&self) -> &Kept {
        self.tails.kept()
    }

    /// What the recorder costs, from when a [`Reader`](super::Reader) reads.
    #[must_use]
    pub fn spending(&self) -> Spending {
        self.tails.spending().clone()
    }

    /// The programs that are loaded, by name, each with a descriptor of the caller's own: through it the kernel tells what
    /// the program costs, also to a process without capabilities.
    #[must_use]
    pub fn take_descriptors(&mut self) -> Vec<(&'static str, OwnedFd)> {
        std::mem::take(&mut self.descriptors)
    }
}

/// Loads and attaches everything this kernel and these privileges allow. The thread that attaches later takes `vow`.
///
/// # Errors
/// When not a single program could be attached.
pub fn load(limits: &Limits, hierarchies: &Hierarchies, vow: Vow) -> Result<Programs, Error> {
    if OBJECT.is_empty() {
        return Err(Error::NoObject);
    }
    let object = zstd::decode_all(OBJECT).map_err(Error::Object)?;
    let btf = Btf::read(Path::new(BTF_PATH))?;
    let offsets = Plain(offsets::offsets(&btf));
    let mut hooks = offsets::hooks(&btf);
    // 20 MiB, and aya is about to take as much.
    drop(btf);
    let settings = Plain(limits.settings(hierarchies));
    let pins = pins(limits, &format!("{offsets:?} {settings:?} {limits:?}"));
    let paths = pins
        .iter()
        .flat_map(|pins| pins::MAPS.map(|name| (name, pins.map(name))));
    let mut loader = EbpfLoader::new();
    for (name, path) in paths {
        loader.map_pin_path(name, path);
    }
    let mut ebpf = loader
        .override_global("OFFSETS", &offsets, true)
        .override_global("SETTINGS", &settings, true)
        .map_max_entries("CRIT", limits.crit_ring)
        .map_max_entries("BULK", limits.bulk_ring)
        .map_max_entries("TAIL", limits.tails.max(1) * TAIL_LEN)
        .map_max_entries("TAIL_HEADS", limits.tails.max(1))
        .load(&object)?;
    drop(object);
    let kernel = aya::Btf::from_sys_fs();
    let mut daemon: Array<MapData, Plain<Daemon>> = Array::try_from(map(&mut ebpf, "DAEMON")?)?;
    let before = daemon.get(&0, 0)?.0;
    let taken_over = pins.is_some() && before.complete == 1;
    if let Some(pins) = pins.as_ref().filter(|_| !taken_over) {
        // A daemon that died while it pinned.
        pins.release_programs()?;
    }
    let mut after_call = ProgramArray::try_from(map(&mut ebpf, "AFTER_CALL")?)?;
    // It would keep calls for one who does not read them.
    switch::forget_exit(&mut after_call)?;
    // Before the first program runs, for one that knows no daemon is silent.
    present(&mut daemon, before.told, taken_over)?;
    let wanted = wanted(&hooks, limits, taken_over);
    let verified = match &kernel {
        Ok(kernel) => verify(&mut ebpf, kernel, &wanted),
        Err(error) => {
            let failed = |(name, _)| (name, Err(chain(error)));
            wanted.into_iter().map(failed).collect()
        }
    };
    drop(kernel);
    let mut attaching = Attaching {
        ebpf: &mut ebpf,
        verified: &verified,
        pins: pins.as_ref(),
        taken_over,
        links: Vec::new(),
        descriptors: Vec::new(),
        calls: None,
    };
    let call_nanos = switch::call_nanos();
    for hook in &mut hooks {
        if let Ok(program) = hook.program {
            let attached = attaching.attach(program);
            hook.program = attached.map(|()| program);
        }
    }
    let (links, mut descriptors) = (attaching.links, attaching.descriptors);
    let begun = Begun {
        calls: attaching.calls,
        // What a former daemon attached was there before.
        call_cost: match taken_over {
            true => USUAL_CALL_COST,
            false => switch::added_since(call_nanos),
        },
    };
    if let Some(first) = hooks.iter().find_map(|hook| hook.program.as_ref().err())
        && hooks.iter().all(|hook| hook.program.is_err())
    {
        return Err(Error::NoHook(first.clone()));
    }
    present(&mut daemon, before.told, true)?;
    let mut arguments: Array<MapData, u32> = Array::try_from(map(&mut ebpf, "ARGUMENTS")?)?;
    for (call, argument) in argument::table() {
        arguments.set(call, argument, 0)?;
    }
    let hook = hooks.iter().find(|hook| hook.tracepoint == "sys_exit");
    let unable = match limits.tails {
        0 => Some("BLACKBOX_TAIL_CONTAINERS is 0".to_owned()),
        _ if hook.is_none_or(|hook| hook.program.is_err()) => {
            Some("there is no program on sys_exit, which keeps every call".to_owned())
        }
        _ => TAIL.iter().find_map(|(name, _)| {
            let why = outcome(&verified, name).err()?;
            Some(format!("{name} cannot be loaded: {why}"))
        }),
    };
    let logger = EbpfLogger::init(&mut ebpf)
        .inspect_err(|error| tracing::warn!(%error, "no diagnostics from the kernel programs"))
        .ok();
    // Not of `tail_exit`: the kernel counts what it takes as that of `sys_exit`, which jumps to it.
    descriptors.extend(TAIL.iter().take(1).filter_map(|(name, _)| {
        let descriptor = ebpf.program(name)?.fd().ok()?;
        Some((*name, descriptor.as_fd().try_clone_to_owned().ok()?))
    }));
    let maps = Maps {
        armed: Array::try_from(map(&mut ebpf, "ARMED")?)?,
        entries: Array::try_from(map(&mut ebpf, "TAIL")?)?,
        heads: Array::try_from(map(&mut ebpf, "TAIL_HEADS")?)?,
    };
    Ok(Programs {
        crit: ring(&mut ebpf, "CRIT")?,
        bulk: ring(&mut ebpf, "BULK")?,
        tally: PerCpuArray::try_from(map(&mut ebpf, "TALLY")?)?,
        accounts: BpfHashMap::try_from(map(&mut ebpf, "ACCOUNTS")?)?,
        heard: Heard::new(BpfHashMap::try_from(map(&mut ebpf, "WORDS")?)?),
        daemon,
        logger,
        hooks,
        descriptors,
        taken_over,
        _pins: pins.map(|pins| (pins, links)),
        tails: Tails::new(
            maps,
            (limits.tails, limits.budget),
            Switch::start(ebpf, after_call, begun, vow)?,
            unable,
        ),
    })
}

/// Where what outlives this daemon is pinned. `None`: nowhere.
fn pins(limits: &Limits, told: &str) -> Option<Pins> {
    let root = limits.bpffs.as_deref()?;
    let opened = Pins::open(root, &Pins::fingerprint(OBJECT, told));
    let unable = |error: &std::io::Error| {
        let root = root.display();
        tracing::warn!(%error, "nothing is pinned in {root}: the kernel side ends with this daemon");
    };
    opened.inspect_err(unable).ok()
}

/// Tells the programs, and the daemon after this one, who reads the rings now.
fn present(
    daemon: &mut Array<MapData, Plain<Daemon>>,
    told: Tally,
    complete: bool,
) -> Result<(), Error> {
    let this = Daemon {
        alive: clock::boot_now().0,
        tgid: std::process::id(),
        complete: u32::from(complete),
        told,
    };
    Ok(daemon.set(0, Plain(this), 0)?)
}

/// What it takes to attach the programs of hooks.
struct Attaching<'a> {
    ebpf: &'a mut Ebpf,
    verified: &'a Verified,
    pins: Option<&'a Pins>,
    taken_over: bool,
    links: Vec<PinnedLink>,
    descriptors: Vec<(&'static str, OwnedFd)>,
    /// The link of `sys_exit`, if nothing else keeps it.
    calls: Option<BtfTracePointLinkId>,
}

impl Attaching<'_> {
    /// Attaches a program, or finds the one that is.
    fn attach(&mut self, name: &'static str) -> Result<(), String> {
        if let Some(pins) = self.pins.filter(|_| self.taken_over) {
            let (found, link) = pins.find(name)?;
            self.links.push(link);
            self.keep(name, found.fd());
            return Ok(());
        }
        outcome(self.verified, name)?;
        let program = switch::program(self.ebpf, name)?;
        let descriptor = program.fd().map(|fd| fd.as_fd().try_clone_to_owned());
        match self.pins {
            Some(pins) => self.links.push(pins.pin(name, program)?),
            // The program keeps its link.
            None => {
                let link = program.attach().map_err(|error| chain(&error))?;
                if name == CALLS {
                    self.calls = Some(link);
                }
            }
        }
        if let Ok(Ok(descriptor)) = descriptor {
            self.descriptors.push((name, descriptor));
        }
        Ok(())
    }

    fn keep(&mut self, name: &'static str, fd: Result<&ProgramFd, ProgramError>) {
        let own = fd.map(|fd| fd.as_fd().try_clone_to_owned());
        if let Ok(Ok(descriptor)) = own {
            self.descriptors.push((name, descriptor));
        }
    }
}

/// The programs to be loaded, each with its tracepoint: those of the hooks, unless a former daemon's go on, and those of the
/// tail, which are attached when a container is armed.
fn wanted(hooks: &[Hook], limits: &Limits, taken_over: bool) -> Vec<(&'static str, &'static str)> {
    let hooks = hooks.iter().filter(|_| !taken_over);
    let hooks = hooks.filter_map(|hook| Some((*hook.program.as_ref().ok()?, hook.tracepoint)));
    let tail = TAIL.into_iter().filter(|_| limits.tails > 0);
    hooks.chain(tail).collect()
}

/// How the kernel took a program.
fn outcome(verified: &Verified, name: &str) -> Result<(), String> {
    let missing = || Err(format!("the kernel object has no program {name}"));
    verified.get(name).cloned().unwrap_or_else(missing)
}

fn map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, Error> {
    ebpf.take_map(name).ok_or(Error::NoMap(name))
}

fn ring(ebpf: &mut Ebpf, name: &'static str) -> Result<Ring, Error> {
    match map(ebpf, name)? {
        Map::RingBuf(data) => Ok(Ring::new(data)?),
        _ => Err(Error::NoMap(name)),
    }
}
