//! `blackbox-daemon doctor`: what this machine offers, what is degraded, and how to mend it.
//!
//! Tries for real what the daemon would do at start (it loads and attaches the programs and lets them go), so a
//! line that says ok has been shown, not guessed. Changes nothing.

mod privileges;

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::config::{Config, Kubernetes};
use crate::destinations::{DestinationConfig, file};
use crate::privileges::{Vow, missing};
use crate::record::{BootTime, Health};
use crate::sources::Sampler;
use crate::sources::cgroup::{CgroupSampler, Hierarchies, Mode};
use crate::sources::ebpf::btf::Btf;
use crate::sources::ebpf::load::{self, BTF_PATH};
use crate::sources::ebpf::offsets;
use crate::sources::procfs::ProcfsSampler;

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    #[serde(flatten)]
    pub health: Health,
    /// What was found, when it works.
    pub detail: String,
}

/// Looks at everything.
#[must_use]
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![kernel(), capabilities()];
    findings.extend(privileges::examine(config));
    findings.extend(btf());
    let hierarchies = Hierarchies::discover(&config.proc_root);
    findings.push(match &hierarchies {
        Ok(found) => ok("cgroups", cgroups(found)),
        Err(error) => finding("cgroups", Health::Failed(error.to_string())),
    });
    if let (Some(limits), Ok(found)) = (&config.kernel, &hierarchies) {
        match load::load(limits, found, Vow::capabilities_only()) {
            Ok(programs) => {
                findings.extend(programs.hooks.iter().map(|hook| match &hook.program {
                    Ok(program) => ok(&format!("hook {}", hook.tracepoint), (*program).to_owned()),
                    Err(why) => finding(
                        &format!("hook {}", hook.tracepoint),
                        Health::Failed(why.clone()),
                    ),
                }))
            }
            Err(error) => findings.push(finding(
                "kernel programs",
                Health::Failed(error.to_string()),
            )),
        }
    } else if config.kernel.is_none() {
        let why = "BLACKBOX_EBPF=off".to_owned();
        findings.push(finding("kernel programs", Health::Disabled(why)));
    }
    findings.push(sampled(
        "/proc",
        ProcfsSampler::new(config.proc_root.clone()),
    ));
    if let Ok(found) = hierarchies {
        let cgroups = CgroupSampler::new(found, config.proc_root.clone());
        findings.push(sampled("cgroup files", cgroups));
    }
    findings.push(pressure(&config.proc_root));
    if config.kubernetes == Kubernetes::On {
        findings.push(pod_logs(&config.cluster.logs.pods));
        findings.push(memory(config.cluster.state_dir.as_deref()));
    }
    findings.extend(config.destinations.iter().map(destination));
    findings
}

fn finding(what: &str, health: Health) -> Finding {
    Finding {
        what: what.to_owned(),
        health,
        detail: String::new(),
    }
}

fn ok(what: &str, detail: String) -> Finding {
    Finding {
        what: what.to_owned(),
        health: Health::Ok,
        detail,
    }
}

fn kernel() -> Finding {
    let uname = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    ok(
        "kernel",
        format!("{} {}", text(uname.release()), text(uname.machine())),
    )
}

fn capabilities() -> Finding {
    let missing = missing();
    match missing.is_empty() {
        true => ok("capabilities", "CAP_BPF and CAP_PERFMON".to_owned()),
        false => finding(
            "capabilities",
            Health::Failed(format!(
                "no {}: without them there are no kernel records; run as root, or grant them",
                missing.join(" and ")
            )),
        ),
    }
}

fn btf() -> Vec<Finding> {
    let btf = match Btf::read(Path::new(BTF_PATH)) {
        Ok(btf) => btf,
        Err(error) => {
            return vec![finding(
                "kernel type information",
                Health::Failed(error.to_string()),
            )];
        }
    };
    // Alternatives of which a kernel has one, and fields of the other architecture, are no loss.
    let missing: Vec<_> = offsets::missing(&btf)
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    let detail = match missing.is_empty() {
        true => "every field found".to_owned(),
        false => format!("without {}", missing.join(", ")),
    };
    vec![ok("kernel type information", detail)]
}

fn cgroups(found: &Hierarchies) -> String {
    let mode = match found.mode() {
        Mode::Unified => "v2",
        Mode::Memory => "v1 or hybrid; the memory hierarchy is watched",
    };
    format!(
        "{mode}, at {}, {} cgroups",
        found.watched_root().display(),
        found.walk().len()
    )
}

fn sampled<S: Sampler>(what: &str, mut sampler: S) -> Finding {
    let records = sampler.sample(BootTime(0)).len();
    match sampler.health() {
        Health::Ok => ok(what, format!("{records} records in one sample")),
        health => finding(what, health),
    }
}

fn pressure(proc_root: &Path) -> Finding {
    match proc_root.join("pressure/cpu").exists() {
        true => ok("pressure stall information", "offered".to_owned()),
        false => finding(
            "pressure stall information",
            Health::Degraded("not offered (CONFIG_PSI, or boot with psi=1)".to_owned()),
        ),
    }
}

/// The last lines of dead containers, and names while the API server is not heard, come from there.
fn pod_logs(directory: &Path) -> Finding {
    match std::fs::read_dir(directory) {
        Ok(pods) => ok(
            "pod logs",
            format!("{}, {} pods", directory.display(), pods.count()),
        ),
        Err(error) => finding(
            "pod logs",
            Health::Degraded(format!(
                "reports will be without the last lines of containers: {}: {error}",
                directory.display()
            )),
        ),
    }
}

/// What was told is remembered there.
fn memory(directory: Option<&Path>) -> Finding {
    const WHAT: &str = "state directory";
    match directory {
        None => finding(
            WHAT,
            Health::Disabled(
                "BLACKBOX_STATE_DIR is not set: what was told is forgotten at a restart".to_owned(),
            ),
        ),
        Some(path) => match file::check(path) {
            Ok(()) => ok(WHAT, format!("{}, writable", path.display())),
            Err(error) => finding(WHAT, Health::Failed(error.to_string())),
        },
    }
}

fn destination(config: &DestinationConfig) -> Finding {
    let what = format!("destination {}", config.name());
    match config {
        DestinationConfig::File(file) => match file::check(&file.directory) {
            Ok(()) => ok(&what, "writable".to_owned()),
            Err(error) => finding(&what, Health::Failed(error.to_string())),
        },
        DestinationConfig::Stdout | DestinationConfig::Http(_) => ok(&what, "not tried".to_owned()),
    }
}

/// Writes the findings as a table. True: nothing failed.
///
/// # Errors
/// When `out` cannot be written.
pub fn print(findings: &[Finding], out: &mut impl Write) -> std::io::Result<bool> {
    let width = findings
        .iter()
        .map(|finding| finding.what.chars().count())
        .max()
        .unwrap_or(0);
    for finding in findings {
        let (state, text) = match &finding.health {
            Health::Ok => ("ok      ", &finding.detail),
            Health::Degraded(why) => ("degraded", why),
            Health::Disabled(why) => ("disabled", why),
            Health::Failed(why) => ("failed  ", why),
        };
        writeln!(out, "{:width$}  {state}  {text}", finding.what)?;
    }
    let failed = findings
        .iter()
        .filter(|f| matches!(f.health, Health::Failed(_)))
        .count();
    match failed {
        0 => writeln!(
            out,
            "\nNothing is missing: every verdict can be proven here."
        )?,
        count => writeln!(
            out,
            "\n{count} of {} failed; the rest goes on without them.",
            findings.len()
        )?,
    }
    Ok(failed == 0)
}
