//! Secrets in records: every text that somebody outside of this daemon wrote, in every kind of record.
//!
//! The one list of them. Names by which records are joined (of pods, namespaces, containers, images, cgroups, and the 15
//! bytes of a process's name) stay: Kubernetes and the kernel bound what they may be. The bytes of a crash's stack stay
//! too; no report shows them.

use super::Redactor;
use crate::record::{
    Condition, ContainerEnded, ContainerState, End, Event, Health, PodFacts, Reported, Telemetry,
    WaitCause,
};

impl Redactor {
    /// Hides secrets in place; returns how many.
    pub fn event(&self, event: &mut Event) -> u32 {
        match event {
            Event::Exec(exec) => self.string(&mut exec.exe),
            Event::FailedCall(call) => self.known(call.argument.as_mut()),
            Event::Call(call) => self.known(call.argument.as_mut()),
            Event::Words(words) => {
                let hidden = self.string(&mut words.text);
                words.hidden += hidden;
                hidden
            }
            Event::Telemetry(telemetry) => self.telemetry(telemetry),
            Event::Reported(reported) => self.reported(reported),
            Event::Pod(facts) => self.facts(facts),
            Event::ContainerEnded(ended) => self.ended(ended),
            Event::PodCondition(condition) => {
                self.known(condition.message.as_mut()) + self.condition(&mut condition.what)
            }
            Event::KubeEvent(event) => {
                self.string(&mut event.message)
                    + self.string(&mut event.reason)
                    + self.string(&mut event.component)
            }
            Event::Began(began) => self.known(began.panic.as_mut()),
            Event::Source(state) => match &mut state.health {
                Health::Ok => 0,
                Health::Degraded(why) | Health::Disabled(why) | Health::Failed(why) => {
                    self.string(why)
                }
            },
            Event::Exit(_)
            | Event::Signal(_)
            | Event::Oom(_)
            | Event::CrashStack(_)
            | Event::CgroupCreated { .. }
            | Event::CgroupRemoved { .. }
            | Event::CallCounts(_)
            | Event::NodeCpu(_)
            | Event::NodeMemory(_)
            | Event::NodeNetwork(_)
            | Event::NodeDisks(_)
            | Event::NodeLoad(_)
            | Event::NodePressure(_)
            | Event::Cgroup(_)
            | Event::ProcessMemory(_)
            | Event::LoggedPod(_)
            | Event::KernelTally(_)
            | Event::Gap(_)
            | Event::LastCall(_)
            | Event::TailRead(_)
            | Event::Arming(_) => 0,
        }
    }

    fn known(&self, text: Option<&mut String>) -> u32 {
        text.map_or(0, |text| self.string(text))
    }

    /// Hides secrets in what a sidecar measured; returns how many.
    pub(crate) fn telemetry(&self, telemetry: &mut Telemetry) -> u32 {
        self.json_text(&mut telemetry.data)
            + self.pairs(&mut telemetry.tags)
            + self.string(&mut telemetry.runtime)
            + self.known(telemetry.container_id.as_mut())
    }

    /// Hides secrets in an incident that a sidecar reported; returns how many.
    pub(crate) fn reported(&self, reported: &mut Reported) -> u32 {
        self.string(&mut reported.id)
            + self.string(&mut reported.kind)
            + self.string(&mut reported.message)
            + self.json_text(&mut reported.context)
            + self.pairs(&mut reported.tags)
            + self.known(reported.container_id.as_mut())
    }

    fn facts(&self, facts: &mut PodFacts) -> u32 {
        let mut hidden = self.known(facts.message.as_mut()) + self.known(facts.reason.as_mut());
        if let Some(disruption) = &mut facts.disruption {
            hidden += self.string(&mut disruption.reason);
            hidden += self.known(disruption.message.as_mut());
        }
        for container in &mut facts.containers {
            hidden += match &mut container.state {
                ContainerState::Waiting { reason } => self.known(reason.as_mut()),
                ContainerState::Ended(end) => self.end(end),
                ContainerState::Unknown | ContainerState::Running { .. } => 0,
            };
            hidden += container.last_end.as_mut().map_or(0, |end| self.end(end));
        }
        hidden
    }

    fn ended(&self, ended: &mut ContainerEnded) -> u32 {
        self.known(ended.message.as_mut()) + self.end(&mut ended.end)
    }

    fn end(&self, end: &mut End) -> u32 {
        self.known(end.reason.as_mut())
    }

    fn condition(&self, condition: &mut Condition) -> u32 {
        match condition {
            Condition::Waiting {
                cause: WaitCause::Other(name),
                ..
            } => self.string(name),
            Condition::Disrupted { reason } => self.string(reason),
            Condition::Failed { reason } => self.known(reason.as_mut()),
            Condition::Waiting { .. }
            | Condition::PendingLong { .. }
            | Condition::Deleting(_)
            | Condition::Evicted
            | Condition::DeadlineExceeded
            | Condition::Gone { .. } => 0,
        }
    }
}
