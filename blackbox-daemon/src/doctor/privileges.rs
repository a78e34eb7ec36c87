//! What the daemon is after its start: capabilities, user, filter of system calls. Tried by threads that give up the same.

use super::{Finding, finding, ok};
use crate::config::Config;
use crate::privileges::seccomp::Role;
use crate::privileges::standing::{Hands, Standing};
use crate::privileges::trial::{self, Trial};
use crate::privileges::{Vow, capabilities};
use crate::record::Health;

const CAPABILITIES: &str = "capabilities after start";
const USER: &str = "user after start";
const FILTER: &str = "seccomp filter";

/// Tries it, without handing directories over.
pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let standing = match Standing::decide(config, Hands::Look) {
        Ok(standing) => standing,
        Err(error) => return vec![finding(USER, Health::Failed(error.to_string()))],
    };
    let vow = Vow::of(config.privileges, &standing);
    let tried =
        trial::run(vow, Role::Most).and_then(|most| Ok((most, trial::run(vow, Role::Attach)?)));
    match tried {
        Ok((most, attach)) => vec![
            self::capabilities(&most, config.kernel.as_ref().map(|_| &attach)),
            user(&standing, &most),
            filter(config, [&most, &attach]),
        ],
        Err(error) => vec![finding(CAPABILITIES, Health::Failed(error.to_string()))],
    }
}

fn capabilities(most: &Trial, attach: Option<&Trial>) -> Finding {
    if most.capabilities != 0 {
        let names = capabilities::names(most.capabilities);
        return finding(
            CAPABILITIES,
            Health::Degraded(format!("{names} cannot be given up")),
        );
    }
    let bounds = match most.kept.bounds_left {
        true => {
            "the bounding set is not emptied without CAP_SETPCAP; no_new_privs keeps programs from gaining any"
        }
        false => "the bounding set is empty",
    };
    // Without kernel programs there is no such thread.
    let attaching = attach.map(|attach| {
        let names = capabilities::names(attach.capabilities);
        format!("{names} in the one thread that attaches programs; ")
    });
    let detail = format!("none; {}{bounds}", attaching.unwrap_or_default());
    ok(CAPABILITIES, detail)
}

fn user(standing: &Standing, most: &Trial) -> Finding {
    let Standing { ids, why, lost, .. } = standing;
    let health = match (most.ids == *ids, lost.is_empty()) {
        (false, _) => Health::Failed(format!("{} instead of {ids}", most.ids)),
        (true, false) => Health::Degraded(format!("{ids} ({why}): {}", lost.join("; "))),
        (true, true) => return ok(USER, format!("{ids}: {why}")),
    };
    finding(USER, health)
}

fn filter(config: &Config, tried: [&Trial; 2]) -> Finding {
    if !config.privileges.seccomp {
        return finding(FILTER, Health::Disabled("BLACKBOX_SECCOMP=off".to_owned()));
    }
    let failed = tried.iter().flat_map(|trial| &trial.kept.failed);
    match failed.map(String::as_str).next() {
        Some(why) => finding(FILTER, Health::Degraded(why.to_owned())),
        None if tried.iter().all(|trial| trial.denied) => {
            let detail = "installed; a call that is not needed was denied; no_new_privs is set";
            ok(FILTER, detail.to_owned())
        }
        None => finding(FILTER, Health::Degraded("it denied nothing".to_owned())),
    }
}
