//! What was it allowed, and what did it use? Limits and requests of the pod's spec beside the kernel's numbers.

use super::Word;
use crate::record::{Oom, RecordId};
use crate::verdict::{Cause, Grade, Verdict};
use crate::words;

/// Adds what the spec says of memory to the verdict about an OOM kill.
pub(super) fn memory(word: &Word<'_>, oom: Option<(RecordId, &Oom)>, verdict: &mut Verdict) {
    let Some(container) = word.container_facts() else {
        return;
    };
    let name = word.name();
    let (limit, request) = (
        container.limits.memory_bytes,
        container.requests.memory_bytes,
    );
    if let Some(limit) = limit {
        verdict.fact("spec_memory_limit_bytes", limit);
    }
    if let Some(request) = request {
        verdict.fact("spec_memory_request_bytes", request);
    }
    // The container's own level comes first.
    let usage = oom.and_then(|(id, oom)| Some((id, oom.levels.first()?.usage)));
    let Some((id, usage)) = usage else {
        return;
    };
    let used = words::bytes(usage);
    let text = match (verdict.cause, request) {
        (Cause::NodeOom, None) => {
            format!(
                "{name} used {used} and requests no memory: it is among the first to be killed when the node runs out"
            )
        }
        (Cause::NodeOom, Some(request)) if usage > request => {
            let request = words::bytes(request);
            format!("{name} used {used}: it was over its request of {request}")
        }
        (Cause::NodeOom, Some(request)) => {
            let request = words::bytes(request);
            format!(
                "{name} used {used}, within its request of {request}: others had taken the memory"
            )
        }
        (Cause::MemoryLimit, _) => match limit {
            Some(limit) => format!(
                "{name} has a memory limit of {} by its spec",
                words::bytes(limit)
            ),
            None => format!("{name} has no memory limit of its own by its spec"),
        },
        _ => return,
    };
    verdict.state(Grade::Proven, text, vec![id]);
}
