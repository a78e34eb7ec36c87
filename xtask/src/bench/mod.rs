//! `cargo xtask bench`: what the recorder costs, beside the tools that people would use instead, in one table.
//!
//! Contenders take turns (A B A B …), medians count, and each figure stands beside its base line of the same run: machines differ
//! and are shared, ratios travel. Needs root, BPF, and nobody else at work on the machine.
#![expect(clippy::print_stdout, reason = "the command's output is its result")]

mod contenders;
mod counts;
mod loops;
mod peers;
mod pressure;
mod process;
mod recorder;
mod rounds;
mod sampling;
mod servers;
mod table;
mod window;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::cargo::workspace_root;
use crate::exec::step;
use crate::{build_ebpf, output, stage};

/// Where the table goes.
const DOCUMENT: &str = "docs/performance.md";

/// `cargo xtask bench`.
#[derive(clap::Args, Debug)]
pub struct Options {
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Play only these.
    #[arg(long, value_delimiter = ',', conflicts_with = "counts")]
    only: Vec<Part>,
    /// Count the instructions of the hot paths instead, and hold them against their budgets.
    #[arg(long)]
    counts: bool,
    /// Make those counts the budgets.
    #[arg(long, requires = "counts")]
    renew: bool,
    /// Leave docs/performance.md as it is.
    #[arg(long)]
    dry_run: bool,
    /// Write the rows to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What can be played alone. The table in docs/performance.md is of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// What listening adds to one system call.
    Calls,
    /// redis and nginx.
    Servers,
    /// A look at the node each second.
    Sampling,
    /// Reports and floods, size and start.
    Pressure,
    /// The window in memory.
    Window,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::Calls,
        Self::Servers,
        Self::Sampling,
        Self::Pressure,
        Self::Window,
    ];

    fn rows(self, rounds: usize, victim: &Path) -> Result<Vec<table::Row>> {
        let title = format!("bench: {self:?}").to_lowercase();
        step(&title, || match self {
            Self::Calls => loops::rows(rounds, victim),
            Self::Servers => servers::rows(rounds),
            Self::Sampling => sampling::rows(rounds, victim),
            Self::Pressure => pressure::rows(rounds, victim),
            Self::Window => window::rows(),
        })
    }
}

#[derive(Serialize)]
struct Outcome<'a> {
    machine: &'a str,
    rows: &'a [table::Row],
}

/// Runs the command. A target that is missed is told in the table, and is no failure.
///
/// # Errors
/// A peer cannot be had, or something does not run.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.counts {
        return budgets(options.renew).map(|()| ExitCode::SUCCESS);
    }
    stage::require_kernel()?;
    build_ebpf::build(&build_ebpf::Options::default())?;
    step("bench: building the daemon", recorder::build)?;
    step("bench: peers", peers::ensure_all)?;
    let victim = loops::victim()?;
    let rounds = usize::from(options.rounds);
    let mut rows = Vec::new();
    for part in Part::ALL {
        if options.only.is_empty() || options.only.contains(&part) {
            let measured = part.rows(rounds, &victim)?;
            // At once: a later part may fail, and this one took minutes.
            println!("{}", table::lines(&measured));
            rows.extend(measured);
        }
    }
    let machine = machine(options.rounds)?;
    let table = table::markdown(&machine, &rows);
    println!("\n{table}");
    if options.only.is_empty() && !options.dry_run {
        table::write(&workspace_root().join(DOCUMENT), &table)?;
    }
    output::write(
        options.json.as_deref(),
        &Outcome {
            machine: &machine,
            rows: &rows,
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Counts the instructions of the hot paths, makes them the budgets if asked to, and holds them against these.
///
/// # Errors
/// One is above its budget, or cannot be counted.
pub(crate) fn budgets(renew: bool) -> Result<()> {
    let document = workspace_root().join(DOCUMENT);
    let counts = step("bench: instructions", counts::count)?;
    counts.iter().for_each(|count| println!("{count}"));
    if renew {
        counts::renew(&document, &counts)?;
    }
    counts::check(&document, &counts)
}

/// On what it was measured.
fn machine(rounds: u16) -> Result<String> {
    let uname = rustix::system::uname();
    let processors = std::thread::available_parallelism()?;
    Ok(format!(
        "Linux {} with {processors} processors; {rounds} rounds, medians (least–greatest); {}",
        uname.release().to_string_lossy(),
        peers::versions()?
    ))
}
