//! BlackBox: a node flight recorder that says who killed it, and why.
//!
//! How a death becomes a report; the modules in reading order:
//!
//! ```text
//!  kernel rings ─► sources::ebpf    ─┐
//!  /proc ────────► sources::procfs   │
//!  cgroupfs ─────► sources::cgroup   │ Feed
//!  API server ───► sources::kube     ├───────► recorder ── Window ── Trigger ─► Incident
//!  REST ── api ──► sources::sidecar ─┘ bounded,    │                                │ Case: a slice of
//!          ▲                          loss counted │ status, views                  ▼ sealed segments
//!          └───────────────────────────────────────┴──► metrics     verdict ◄──► report ─► Formatter
//!                                                                                              │
//!                                                       destinations: file · stdout · http ◄───┘
//! ```
//!
//! `window`, `incident`, `starts`, `verdict`, `diagnosis` and `report` are pure: they read no clock, do no IO, take no lock and never
//! await. `recorder` is the one task that owns the window. `app` wires the parts and drains them at the end.

pub mod record;

pub mod redact;

pub mod sources;

pub mod window;

pub mod journal;

pub mod identity;

pub mod incident;

pub mod arming;

pub mod starts;

pub mod recorder;

pub mod verdict;

pub mod diagnosis;

pub mod report;

pub mod reporter;

pub mod evidence;

pub mod bundle;

pub mod destinations;

pub mod api;

pub mod metrics;

pub mod allocator;
pub mod app;
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod doctor;
pub mod durability;
pub mod log;
pub mod memory;
pub mod privileges;
pub mod words;
