//! `cargo xtask`: everything a developer or CI runs, beside plain cargo.
#![expect(
    clippy::print_stderr,
    reason = "a command line program says why it failed"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, build_ebpf, check, demo, image, kube, manifests, setup, test, vm, zoo};

/// BlackBox's development commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing to build the kernel programs and the daemon.
    Setup(setup::Options),
    /// Build the kernel object that the daemon embeds.
    BuildEbpf(build_ebpf::Options),
    /// Formatting, manifests, dependencies, lints and documentation; warnings are errors.
    Check(check::Options),
    /// Write the manifest for Kubernetes from the kustomize base.
    Manifests(manifests::Options),
    /// Build the daemon's container image with buildah, and look at it.
    Image(image::Options),
    /// Every test, with the root tests where root and BPF are available.
    Test(test::Options),
    /// Start or end a real kube-apiserver on loopback.
    Kube(kube::Options),
    /// Stage deaths, and compare each report with the truth.
    Demo(demo::Options),
    /// What recording costs, beside what other tools cost.
    Bench(bench::Options),
    /// Many deaths in containers on a node in a virtual machine, and each must be told once and truly.
    Vm(vm::Options),
    /// Small programs die of known reasons, and each diagnosis is compared with the truth.
    Zoo(zoo::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Setup(options) => setup::run(&options),
        Task::BuildEbpf(options) => build_ebpf::run(&options),
        Task::Check(options) => check::run(&options),
        Task::Manifests(options) => manifests::run(&options),
        Task::Image(options) => image::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Kube(options) => kube::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Vm(options) => vm::run(&options),
        Task::Zoo(options) => zoo::run(&options),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
