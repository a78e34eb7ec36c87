//! What to look at next, as commands: for people and models that read a report away from its node.
//!
//! Reads names of the incident and the node; makes command lines. A name goes into one only if Kubernetes allows it as a
//! name, so a line that somebody pastes into a shell runs nothing that somebody else chose.

use crate::report::Report;
use crate::verdict::Cause;

/// Commands, the most telling first.
pub(super) fn commands(report: &Report) -> Vec<String> {
    let incident = &report.incident;
    let names = incident
        .namespace
        .as_deref()
        .zip(incident.pod_name.as_deref());
    let mut commands = Vec::new();
    if let Some((namespace, pod)) = names.filter(|(one, other)| is_name(one) && is_name(other)) {
        commands.push(format!("kubectl -n {namespace} describe pod {pod}"));
        commands.push(format!("kubectl -n {namespace} logs --previous {pod}"));
    }
    let node = &report.node.name;
    let of_node = matches!(
        report.verdict.cause,
        Cause::NodeOom | Cause::NodePressure | Cause::Evicted
    );
    if of_node && is_name(node) {
        commands.push(format!("kubectl describe node {node}"));
    }
    commands
}

/// RFC 1123's names, as Kubernetes wants them. Starting with a letter or a digit, none is an option.
fn is_name(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut bytes = text.bytes();
    text.len() <= 253
        && bytes.next().is_some_and(plain)
        && bytes.all(|c| plain(c) || matches!(c, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::{commands, is_name};
    use crate::report::format::tests::sample_report;
    use crate::verdict::Cause;

    #[test]
    fn commands_have_only_names_that_are_names() {
        let mut report = sample_report();
        assert_eq!(
            commands(&report),
            [
                "kubectl -n prod describe pod shop",
                "kubectl -n prod logs --previous shop"
            ]
        );
        report.verdict.cause = Cause::NodeOom;
        report.incident.pod_name = Some("shop; reboot".to_owned());
        assert_eq!(commands(&report), ["kubectl describe node node-1"]);
        for name in ["", "-n", "--all", "a b", "a$(b)", "a\nb", "A", "a`b`"] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(!is_name(&"a".repeat(254)) && is_name(&"a".repeat(253)));
    }
}
