//! The sections of a brief, in the order they are shown. Each has one heading, and no other line looks like one.

/// A part of a brief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Verdict,
    Diagnosis,
    Evidence,
    Calls,
    Threads,
    Tail,
    LastWords,
    Stack,
    Log,
    History,
    Missing,
    Next,
}

impl Section {
    /// Every section, as they are shown.
    pub(super) const ALL: [Self; 12] = [
        Self::Verdict,
        Self::Diagnosis,
        Self::Evidence,
        Self::Calls,
        Self::Threads,
        Self::Tail,
        Self::LastWords,
        Self::Stack,
        Self::Log,
        Self::History,
        Self::Missing,
        Self::Next,
    ];

    /// Its first line.
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Verdict => "## Verdict",
            Self::Diagnosis => "## Diagnosis",
            Self::Evidence => "## Evidence",
            Self::Calls => "## Failed calls",
            Self::Threads => "## Threads at the end",
            Self::Tail => "## Last calls",
            Self::LastWords => "## Last words",
            Self::Stack => "## Stack",
            Self::Log => "## Log",
            Self::History => "## Earlier ends",
            Self::Missing => "## What may be missing",
            Self::Next => "## Look at next",
        }
    }
}
