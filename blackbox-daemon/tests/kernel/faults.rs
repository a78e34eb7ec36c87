//! Segmentation faults by where the address lies: the class is as staged, and nothing more is claimed. And one that is none.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::lab::{self, Lab, Life, VICTIM, said};

/// Lets the victim fault and returns its proven report.
fn fault(mode: &str) -> Result<Value> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup(mode)?;
    let (pid, _, _) = lab::run(&cgroup, &[mode])?;
    let report = lab.report(pid)?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["grade"], "proven", "{verdict:#}");
    assert_eq!(verdict["cause"], "fault", "{verdict:#}");
    assert_eq!(verdict["facts"]["signal_name"], "SIGSEGV", "{verdict:#}");
    assert!(
        verdict["facts"]["instruction_pointer"].is_string(),
        "{verdict:#}"
    );
    Ok(report)
}

#[test]
fn a_wild_address() -> Result<()> {
    let report = fault("segv-wild")?;
    let facts = &report["verdict"]["facts"];
    assert_eq!(facts["address_class"], "wild");
    assert_eq!(facts["fault_address"], "0x5e0000001230");
    assert!(!said(&report).contains("null pointer"), "{report:#}");
    Ok(())
}

#[test]
fn a_stack_that_overflows() -> Result<()> {
    let report = fault("segv-stack")?;
    let facts = &report["verdict"]["facts"];
    assert_eq!(facts["address_class"], "stack");
    let address = |name: &str| -> Result<u64> {
        let text = facts[name].as_str().unwrap_or_default();
        Ok(u64::from_str_radix(text.trim_start_matches("0x"), 16)?)
    };
    let distance = address("fault_address")?.abs_diff(address("stack_pointer")?);
    assert!(
        distance <= 1 << 20,
        "{distance} bytes from the stack pointer"
    );
    assert!(!said(&report).contains("null pointer"), "{report:#}");
    Ok(())
}

/// The processor tells no address then, and the kernel's siginfo says 0: that is no null pointer.
#[test]
fn an_address_the_processor_does_not_tell() -> Result<()> {
    let report = fault("segv-noncanonical")?;
    let facts = &report["verdict"]["facts"];
    assert_eq!(facts["address_class"], "untold");
    assert_eq!(facts["fault_address"], Value::Null);
    let said = said(&report).replace(":null", "");
    assert!(!said.contains("null"), "{said}");
    assert!(!said.contains("address 0x0"), "{said}");
    Ok(())
}

/// The first process of a pid namespace ignores its own SIGABRT; `abort()` then goes on to an instruction that faults.
#[test]
fn the_first_process_of_a_container_that_aborts_is_told_as_such() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let cgroup = lab::cgroup("abort-first")?;
    let maker = Life::start(&cgroup, "unshare", &["--pid", "--fork", VICTIM, "abort"])?;
    maker.end()?;
    let place = cgroup.path();
    let (_path, report) = lab.daemon.wait_report(lab::LIMIT, |report| {
        let facts = &report["verdict"]["facts"];
        facts["cgroup"] == place.as_str() && facts["comm"] == lab::VICTIM_COMM
    })?;
    let verdict = &report["verdict"];
    assert_eq!(verdict["cause"], "abort", "{verdict:#}");
    assert_eq!(verdict["grade"], "proven", "{verdict:#}");
    let headline = verdict["headline"].as_str().context("no headline")?;
    assert!(headline.contains("SIGABRT, which it ignores"), "{headline}");
    assert_eq!(report["diagnosis"]["code"], "BBX-ABORT");
    Ok(())
}
