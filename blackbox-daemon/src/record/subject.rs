//! Who a record is about: cgroups and processes, named so that a reused pid cannot be mistaken.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::BootTime;

/// A cgroup of the watched hierarchy: its kernfs node id, which is the inode number of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CgroupId(pub u64);

/// A process that can't be mistaken for a later one with the same pid: pid and start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Thread group id in the initial pid namespace.
    pub tgid: u32,
    /// When its leader started.
    pub start: BootTime,
}

/// A process as the kernel named it at the instant of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Which process.
    pub key: ProcessKey,
    /// Which of its threads.
    pub tid: u32,
    /// Its command name at that instant.
    pub comm: Comm,
    /// Its cgroup at that instant.
    pub cgroup: CgroupId,
}

/// Who a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// The whole node.
    Node,
    /// One cgroup: a container, a systemd unit, or a plain one.
    Cgroup(CgroupId),
    /// A pod that the event names.
    Pod,
    /// One process (and so its cgroup).
    Process(Process),
}

impl Subject {
    /// The cgroup it is or lives in.
    #[must_use]
    pub fn cgroup(&self) -> Option<CgroupId> {
        match self {
            Self::Node | Self::Pod => None,
            Self::Cgroup(id) => Some(*id),
            Self::Process(process) => Some(process.cgroup),
        }
    }

    /// The process it is.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        match self {
            Self::Process(process) => Some(process),
            Self::Node | Self::Pod | Self::Cgroup(_) => None,
        }
    }
}

/// A task's command name: at most 15 bytes, any but NUL (include/linux/sched.h, `TASK_COMM_LEN`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Comm([u8; blackbox_common::header::COMM_LEN]);

impl Comm {
    /// From the kernel's bytes. What is behind the first NUL is left over from a longer name: not every kernel pads.
    #[must_use]
    pub fn new(mut bytes: [u8; blackbox_common::header::COMM_LEN]) -> Self {
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes[end..].fill(0);
        }
        Self(bytes)
    }

    /// From text; what does not fit is cut.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let mut bytes = [0; blackbox_common::header::COMM_LEN];
        let len = text.len().min(bytes.len() - 1);
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        Self(bytes)
    }

    fn used(&self) -> &[u8] {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.0.len());
        &self.0[..end]
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A process chooses its own name: control characters must not reach a terminal or a line format.
        let text = String::from_utf8_lossy(self.used());
        match text.contains(char::is_control) {
            true => f.write_str(&text.replace(char::is_control, "\u{fffd}")),
            false => f.write_str(&text),
        }
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Comm {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.used())
    }
}

impl<'de> Deserialize<'de> for Comm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Comm;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("at most 16 bytes of command name")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Comm, E> {
                let mut comm = [0; blackbox_common::header::COMM_LEN];
                let target = comm
                    .get_mut(..bytes.len())
                    .ok_or_else(|| E::invalid_length(bytes.len(), &self))?;
                target.copy_from_slice(bytes);
                Ok(Comm(comm))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_longer_name_left_behind_is_no_part_of_a_name() {
        let comm = Comm::new(*b"sh\0stgres\0\0\0\0\0\0\0");
        assert_eq!(comm, Comm::from_text("sh"));
        assert_eq!(Comm::new([b'x'; 16]).to_string(), "x".repeat(16));
    }
}
