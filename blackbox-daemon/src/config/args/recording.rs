//! Keys of the recorder and the kernel programs: what is kept, how long, what becomes an incident.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::values::{self, Errnos};
use crate::sources::ebpf::governor::default_budget;

/// What is kept, how long, and what becomes an incident.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recording")]
pub struct Recording {
    /// How far back the window reaches.
    #[arg(
        long, env = "BLACKBOX_BUFFER_WINDOW_SIZE", default_value = "60s",
        value_parser = values::positive_duration
    )]
    pub buffer_window_size: Duration,
    /// How often /proc and cgroups are sampled.
    #[arg(
        long, env = "BLACKBOX_COLLECTION_INTERVAL", default_value = "1s",
        value_parser = values::positive_duration
    )]
    pub collection_interval: Duration,
    /// How long an incident stays open for what belongs to it.
    #[arg(
        long, env = "BLACKBOX_SETTLE_TIME", default_value = "2s", value_parser = values::duration
    )]
    pub settle_time: Duration,
    /// At most one full report in this time for deaths of the same kind; the rest are counted in it.
    #[arg(
        long, env = "BLACKBOX_THROTTLE_INTERVAL", default_value = "1m",
        value_parser = values::duration
    )]
    pub throttle_interval: Duration,
    /// Cgroup paths whose main process shall not end with a non-zero code; `*` within a name, comma between.
    #[arg(
        long, env = "BLACKBOX_WATCH_CGROUPS", value_delimiter = ',',
        value_parser = values::cgroup_pattern
    )]
    pub watch_cgroups: Vec<String>,
    /// Memory for rare, decisive records (exec, exit, signal, OOM kill).
    #[arg(
        long, env = "BLACKBOX_WINDOW_DECISIVE_BYTES", default_value = "6MiB",
        value_parser = values::window_bytes
    )]
    pub window_decisive_bytes: u64,
    /// Memory for bulk records (failed calls, samples).
    #[arg(
        long, env = "BLACKBOX_WINDOW_BULK_BYTES", default_value = "12MiB",
        value_parser = values::window_bytes
    )]
    pub window_bulk_bytes: u64,
    /// Most of the bulk memory one cgroup may hold when it is full, percent.
    #[arg(
        long, env = "BLACKBOX_WINDOW_SHARE_PERCENT", default_value_t = 50,
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    pub window_share_percent: u8,
    /// Resident memory of the daemon above which bulk records are shed and sidecars asked to wait. Without it, it fits the rings
    /// and the window (96MiB with the defaults), and is at most four fifths of the cgroup's limit.
    #[arg(long, env = "BLACKBOX_MEMORY_SOFT_LIMIT", value_parser = values::window_bytes)]
    pub memory_soft_limit: Option<u64>,
    /// Directory for what must survive a restart: the window itself (window.ring), and which crashes of pods were recorded.
    /// Without it, that is forgotten.
    #[arg(long, env = "BLACKBOX_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// How the window is kept in BLACKBOX_STATE_DIR. ssd: written 20 times a second, synced each second; emmc: each second and
    /// each 10 s, and a quarter of the bulk records, for flash that wears out; ram: never synced, for a directory in memory
    /// (survives the daemon, not the node); off: not at all.
    #[arg(long, env = "BLACKBOX_JOURNAL", default_value = "ssd")]
    pub journal: Journal,
    /// Size of window.ring; all of it is taken at once.
    #[arg(
        long, env = "BLACKBOX_JOURNAL_BYTES", default_value = "32MiB",
        value_parser = values::journal_bytes
    )]
    pub journal_bytes: u64,
    /// More secrets to hide before anything is kept: one regular expression in each line; its first group, or all it
    /// matches, is hidden. Well-known forms of tokens, keys, passwords, e-mail addresses and cards always are.
    #[arg(long, env = "BLACKBOX_REDACT_PATTERNS")]
    pub redact_patterns: Option<String>,
    /// Where proc is mounted.
    #[arg(long, env = "BLACKBOX_PROC_ROOT", default_value = "/proc")]
    pub proc_root: PathBuf,
}

/// The kernel programs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kernel")]
pub struct Kernel {
    /// Kernel programs: auto uses them when they load, off never tries.
    #[arg(long, env = "BLACKBOX_EBPF", default_value = "auto")]
    pub ebpf: Ebpf,
    /// Failing system calls recorded per second and cgroup; all are counted.
    #[arg(
        long, env = "BLACKBOX_SYSCALL_RATE", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub syscall_rate: u32,
    /// As many may be recorded at once after a quiet time.
    #[arg(
        long, env = "BLACKBOX_SYSCALL_BURST", default_value_t = 4000,
        value_parser = clap::value_parser!(u32).range(1..=10_000_000)
    )]
    pub syscall_burst: u32,
    /// Errors that are part of ordinary work: neither recorded nor counted. Names or numbers. Of connect, and of calls that
    /// start a thread or process, every error is.
    #[arg(
        long, env = "BLACKBOX_SYSCALL_IGNORE", default_value = "EAGAIN,EINTR,EINPROGRESS,EALREADY",
        value_parser = values::errnos
    )]
    pub syscall_ignore: Errnos,
    /// Size of the ring for decisive records; a power of two.
    #[arg(
        long, env = "BLACKBOX_RING_CRIT_BYTES", default_value = "8MiB",
        value_parser = values::ring_bytes
    )]
    pub ring_crit_bytes: u32,
    /// Size of the ring for failed calls; a power of two.
    #[arg(
        long, env = "BLACKBOX_RING_BULK_BYTES", default_value = "2MiB",
        value_parser = values::ring_bytes
    )]
    pub ring_bulk_bytes: u32,
    /// Containers of which every system call is kept at once: those near a limit or with a bad end behind them; 0: of none.
    /// 344 KiB of kernel memory each.
    #[arg(
        long, env = "BLACKBOX_TAIL_CONTAINERS", default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(0..=64)
    )]
    pub tail_containers: u32,
    /// What the whole recorder may cost, percent of one processor; one percent for each eight processors of the node, and at
    /// least one, by default. Above, the container that makes most calls is no longer armed; after a minute of that failed
    /// calls are not recorded for five.
    #[arg(
        long, env = "BLACKBOX_CPU_BUDGET_PERCENT", default_value_t = default_budget(),
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub cpu_budget_percent: u32,
    /// A directory in a bpffs, such as /sys/fs/bpf/blackbox: the kernel side then outlives the daemon, and the next one takes
    /// over what it recorded meanwhile. Without a daemon for five minutes it falls silent.
    #[arg(long, env = "BLACKBOX_BPFFS")]
    pub bpffs: Option<PathBuf>,
    /// Whether the last 8 KiB that each container wrote to its standard output and error are kept for its report.
    #[arg(
        long, env = "BLACKBOX_LAST_WORDS", default_value = "true",
        value_parser = values::go_bool, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub last_words: bool,
}

/// How the window is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Journal {
    Ssd,
    Emmc,
    Ram,
    Off,
}

/// Whether kernel programs are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ebpf {
    Auto,
    Off,
}
