//! The six deaths of the demo, on one daemon: each report is proven, and true to the letter.

use anyhow::Result;
use xtask::deaths::{Death, check};

use crate::lab::{Lab, VICTIM};

#[test]
fn six_deaths_six_proven_and_true_reports() -> Result<()> {
    let mut lab = Lab::start(&[])?;
    let mut staged = Vec::new();
    for death in Death::ALL {
        staged.push(death.stage(VICTIM.as_ref())?);
    }
    for death in &staged {
        let truth = &death.truth;
        let report = lab.report(truth.pid)?;
        let untrue = check(&report, truth);
        assert!(
            untrue.is_empty(),
            "{truth:?}: {untrue:#?}\n{:#}",
            report["verdict"]
        );
        assert_eq!(report["completeness"]["complete"], true);
        if let Some(sender) = &truth.sender {
            let headline = report["verdict"]["headline"].to_string();
            for part in [
                "blackbox-killer".to_owned(),
                format!("pid {}", sender.pid),
                format!("container {}", &sender.container[..12]),
            ] {
                assert!(headline.contains(&part), "{part} is not in {headline}");
            }
        }
    }
    // One death, one report.
    lab.daemon.stop()?;
    for death in &staged {
        let pid = death.truth.pid;
        let reports = lab.daemon.reports()?;
        let about = reports
            .iter()
            .filter(|report| crate::lab::is_about(report, pid));
        assert_eq!(about.count(), 1, "{:?}", death.truth.death);
    }
    Ok(())
}
