//! The diagnosis: why it died, as a stable code. Rules over the verdict and the records around a death; pure.
//!
//! The verdict says who ended it; this says why that came about. Each rule (one file per family) says what evidence it
//! needs and what contradicts it, and cites what it rests on. No rule speaks where the evidence fits another cause as
//! well: then the answer is [`Code::Unknown`], which is a good answer.

mod actor;
mod cluster;
mod code;
mod crash;
mod exclude;
mod exit;
mod ground;
mod hung;
mod killed;
mod memory;
mod phrases;
mod refused;
mod said;
mod speech;
mod uncaught;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use code::Code;
pub use ground::Ground;

use crate::record::RecordId;
use crate::verdict::{Cause, Grade, Statement};

/// Why it died.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    #[schema(value_type = String, example = "BBX-OOM-LIMIT")]
    pub code: Code,
    pub grade: Grade,
    /// One sentence.
    pub summary: String,
    /// What led to it, in order, each with its own grade and its citations.
    pub facts: Vec<Statement>,
    /// Causes that the records exclude, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ruled_out: Vec<RuledOut>,
    /// What to try.
    pub fix: String,
    /// The page about this code, in the repository.
    pub page: String,
}

/// A cause that the records exclude.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuledOut {
    #[schema(value_type = String, example = "BBX-OOM-LIMIT")]
    pub code: Code,
    pub because: Statement,
}

/// Says why.
#[must_use]
pub fn explain(ground: &Ground<'_>) -> Diagnosis {
    let found = match ground.verdict.cause {
        Cause::MemoryLimit | Cause::NodeOom => memory::explain(ground),
        Cause::Fault => crash::fault(ground),
        Cause::Abort => Some(crash::abort(ground)),
        Cause::KilledBySignal => killed::explain(ground),
        Cause::ExitCode => exit::explain(ground),
        Cause::KernelSignal => killed::by_timer(ground),
        _ => cluster::explain(ground),
    };
    let mut diagnosis = found.unwrap_or_else(Diagnosis::unknown);
    hung::add(ground, &mut diagnosis);
    diagnosis.ruled_out = exclude::ruled_out(ground);
    diagnosis
}

impl Diagnosis {
    /// Every record cited, in order of the statements.
    pub fn cited(&self) -> impl Iterator<Item = RecordId> {
        let out = self.ruled_out.iter().map(|out| &out.because);
        let statements = self.facts.iter().chain(out);
        statements.flat_map(|said| said.cites.iter().copied())
    }

    /// The records do not say why.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(Code::Unknown, Grade::Unknown, String::new())
    }

    /// A diagnosis without facts; an empty summary becomes the code's own sentence.
    fn new(code: Code, grade: Grade, summary: String) -> Self {
        let summary = match summary.is_empty() {
            true => code.title().to_owned(),
            false => summary,
        };
        Self {
            code,
            grade,
            summary,
            facts: Vec::new(),
            ruled_out: Vec::new(),
            fix: code.fix().to_owned(),
            page: code.page(),
        }
    }
}
