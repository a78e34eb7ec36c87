//! `cargo xtask vm matrix`: the same exam on the running kernel and in machines with Debian's, side by side.
#![expect(clippy::print_stdout, reason = "the command's output is its result")]

pub(super) mod exam;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use self::exam::{Answer, Place};
use super::node::Build;
use super::packed::{Packed, Size};
use super::protocol::{METRICS_PORT, News, Order};
use crate::exec::step;
use crate::output;
use crate::stage;

const MEMORY_MIB: u32 = 1536;
const LIMIT: Duration = Duration::from_secs(1200);
/// Beside a daemon that may run on the host.
const HOST_PORT: u16 = 19_090;

/// `cargo xtask vm matrix`.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// On which kernels: the running one, and series of Debian's cloud kernels.
    #[arg(
        long, value_delimiter = ',', default_value = "host,6.1,6.12",
        value_parser = ["host", "6.12", "6.1"]
    )]
    kernel: Vec<String>,
    /// Take the daemon that was built last for tests, which is not optimised.
    #[arg(long)]
    tested: bool,
    /// Write what was found to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One kernel's answers.
#[derive(Debug, Serialize)]
struct Column {
    kernel: String,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    kernels: &'a [Column],
    ok: bool,
}

/// Runs the command. A question that is answered wrong is an exit code, told after the table.
///
/// # Errors
/// A machine cannot be had or fails.
pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let build = Build::chosen(options.tested);
    let columns = columns(&options.kernel, build)?;
    let (passed, failed) = print(&columns);
    let ok = failed == 0 && passed > 0;
    let outcome = Outcome {
        kernels: &columns,
        ok,
    };
    output::write(options.json.as_deref(), &outcome)?;
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The exam in machines, as a test, of the daemon that was built last for tests; how many answers are right, and how many wrong.
///
/// # Errors
/// Those of [`run`].
pub(super) fn smoke(kernels: &[String]) -> Result<(u64, u64)> {
    Ok(print(&columns(kernels, Build::Tested)?))
}

fn columns(kernels: &[String], build: Build) -> Result<Vec<Column>> {
    let column = |kernel: &String| match &**kernel {
        "host" => on_host(build),
        series => in_machine(series, build),
    };
    kernels.iter().map(column).collect()
}

fn on_host(build: Build) -> Result<Column> {
    stage::require_kernel()?;
    let programs = build.programs()?;
    let directory = tempfile::tempdir()?;
    let place = Place {
        daemon: programs.join("blackbox-daemon"),
        victim: programs.join("blackbox-victim"),
        directory: directory.path().into(),
        metrics_port: HOST_PORT,
    };
    let uname = rustix::system::uname();
    Ok(Column {
        kernel: format!("host {}", uname.release().to_string_lossy()),
        answers: step("vm: the running kernel", || Ok(exam::examine(&place)))?,
    })
}

fn in_machine(series: &str, build: Build) -> Result<Column> {
    let packed = Packed::make(series, build, &[], false)?;
    let mut booted = packed.boot(Size {
        disk: None,
        memory_mib: MEMORY_MIB,
        in_turns: false,
        limit: LIMIT,
    })?;
    let answers = step("vm: the exam", || {
        booted.machine.order(&Order::Examine)?;
        booted.machine.expect(LIMIT, |news| match news {
            News::Examined { answers } => Some(answers),
            _ => None,
        })
    })?;
    std::fs::remove_dir_all(packed.forget()?)?;
    Ok(Column {
        kernel: booted.kernel,
        answers,
    })
}

/// Where everything is in the machine.
pub(super) fn in_the_machine(directory: PathBuf) -> Place {
    Place {
        daemon: "/bin/blackbox-daemon".into(),
        victim: "/bin/blackbox-victim".into(),
        directory,
        metrics_port: METRICS_PORT,
    }
}

/// The table; how many answers are right, and how many wrong.
fn print(columns: &[Column]) -> (u64, u64) {
    let Some(first) = columns.iter().max_by_key(|column| column.answers.len()) else {
        return (0, 0);
    };
    print!("\n{:<36}", "question");
    for column in columns {
        print!(" {:>26}", column.kernel);
    }
    println!();
    for Answer { question, .. } in &first.answers {
        print!("{question:<36}");
        for column in columns {
            let mut answers = column.answers.iter();
            let answer = answers.find(|answer| answer.question == *question);
            print!(
                " {:>26}",
                answer.map_or("not asked", |answer| &answer.found)
            );
        }
        println!();
    }
    let (mut passed, mut failed) = (0, 0);
    for column in columns {
        for answer in &column.answers {
            match &answer.wrong {
                None => passed += 1,
                Some(why) => {
                    failed += 1;
                    println!("NOT OK: {}: {}: {why}", column.kernel, answer.question);
                }
            }
        }
    }
    println!(
        "{}: {passed} of {} answers are right",
        if failed == 0 { "ok" } else { "NOT OK" },
        passed + failed
    );
    (passed, failed)
}
