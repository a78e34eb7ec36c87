//! Pieces of a report on one line, the same in every format that people or models read.
//!
//! Reads one part of a report; makes text that may hold names of others, so each format still quotes it its own way.

use crate::record::Health;
use crate::report::{Frame, Report};
use crate::verdict::Statement;

/// A frame of a stack: `Heap::grow+0x1c at heap.cc:17 in /usr/bin/shop`.
pub(super) fn frame(frame: &Frame) -> String {
    let mut text = match &frame.function {
        Some(function) => function.clone(),
        None => frame.address.clone(),
    };
    if let (Some(_), Some(offset)) = (&frame.function, frame.function_offset) {
        text.push_str(&format!("+{offset:#x}"));
    }
    if let Some(source) = &frame.source {
        text.push_str(&format!(" at {source}"));
    }
    if let Some(module) = &frame.module {
        text.push_str(&format!(" in {module}"));
    }
    text
}

/// What the verdict rests on, without what the diagnosis says in the same words.
pub(super) fn statements(report: &Report) -> impl Iterator<Item = &Statement> {
    let facts = &report.diagnosis.facts;
    let is_told = |one: &Statement| {
        let same = |fact: &Statement| fact.text == one.text && fact.cites == one.cites;
        facts.iter().any(same)
    };
    let all = report.verdict.statements.iter();
    all.filter(move |statement| !is_told(statement))
}

/// How a source is not well, and why; nothing if it is.
pub(super) fn trouble(health: &Health) -> Option<(&'static str, &str)> {
    match health {
        Health::Ok => None,
        Health::Degraded(why) => Some(("degraded", why)),
        Health::Disabled(why) => Some(("disabled", why)),
        Health::Failed(why) => Some(("failed", why)),
    }
}
