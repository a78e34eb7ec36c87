//! The cases: which program dies, of what, and which diagnosis is true. Data only.
//!
//! A case's program is `blackbox-daemon/tests/zoo/<name>/main.*`; the README beside says what each does. `from` reads
//! cases like these from another folder.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};

/// The memory limit of a container that is not about memory.
pub(super) const ROOMY_MIB: u64 = 512;

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    C,
    Cpp,
    Rust,
    Go,
    Java,
    Node,
    Python,
    Shell,
}

/// What each language's program may be called.
const MAINS: [(Language, &str); 11] = [
    (Language::C, "main.c"),
    (Language::Cpp, "main.cpp"),
    (Language::Cpp, "main.cc"),
    (Language::Rust, "main.rs"),
    (Language::Go, "main.go"),
    (Language::Java, "Main.java"),
    (Language::Node, "main.mjs"),
    (Language::Node, "main.cjs"),
    (Language::Node, "main.js"),
    (Language::Python, "main.py"),
    (Language::Shell, "main.sh"),
];

impl Language {
    /// The program in `folder`, and what it is written in.
    pub(super) fn find(folder: &Path) -> Option<(Self, PathBuf)> {
        let mut programs = MAINS.iter().map(|(of, main)| (*of, folder.join(main)));
        programs.find(|(_of, main)| main.is_file())
    }

    /// As the table and JSON name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Rust => "rust",
            Self::Go => "go",
            Self::Java => "java",
            Self::Node => "node",
            Self::Python => "python",
            Self::Shell => "shell",
        }
    }
}

/// How the container's first process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum End {
    Code(i32),
    Signal(i32),
}

impl End {
    pub(super) fn is(self, status: ExitStatus) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        match self {
            Self::Code(code) => status.code() == Some(code),
            Self::Signal(signal) => status.signal() == Some(signal),
        }
    }
}

/// What the runner has ready, or does, beside starting the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Need {
    Nothing,
    /// The number of a loopback port without a listener, as the last argument.
    ClosedPort,
    /// The number of a loopback port on which the runner listens, as the last argument.
    TakenPort,
    /// `server.crt` and `server.key`, signed by nobody else.
    Certificate,
    /// `master.key`, for root only.
    SecretFile,
    /// A file system of 2 MiB at `data`.
    SmallDisk,
    /// SIGTERM, two seconds, SIGKILL: what the kubelet does.
    TermThenKill,
    /// SIGKILL from a process in another container's cgroup.
    Neighbour,
}

/// One program and its death.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) language: Language,
    /// The codes that are true; several only where they are equally true.
    pub(super) expected: &'static [&'static str],
    pub(super) end: End,
    /// The function of its own in which it faulted or aborted; `None`: it does neither, or in no function of its own.
    pub(super) top: Option<&'static str>,
    /// Whether it is not the first process that dies first, but a child of it.
    pub(super) in_child: bool,
    /// Whether the program is started by `zoo-init`.
    pub(super) init: bool,
    pub(super) need: Need,
    pub(super) memory_mib: u64,
    pub(super) pids: Option<u32>,
    pub(super) files: Option<u64>,
    /// For the compiler of C, C++, Rust and Go, or the runtime of Java, Node and Python.
    pub(super) flags: &'static [&'static str],
    pub(super) arguments: &'static [&'static str],
}

impl Case {
    const fn new(
        name: &'static str,
        language: Language,
        expected: &'static [&'static str],
        end: End,
    ) -> Self {
        Self {
            name,
            language,
            expected,
            end,
            top: None,
            in_child: false,
            init: false,
            need: Need::Nothing,
            memory_mib: ROOMY_MIB,
            pids: None,
            files: None,
            flags: &[],
            arguments: &[],
        }
    }

    const fn needs(self, need: Need) -> Self {
        Self { need, ..self }
    }

    const fn under_init(self) -> Self {
        Self {
            init: true,
            in_child: true,
            ..self
        }
    }

    const fn memory(self, memory_mib: u64) -> Self {
        Self { memory_mib, ..self }
    }

    const fn pids(self, most: u32) -> Self {
        Self {
            pids: Some(most),
            ..self
        }
    }

    const fn top(self, function: &'static str) -> Self {
        Self {
            top: Some(function),
            ..self
        }
    }

    const fn flags(self, flags: &'static [&'static str]) -> Self {
        Self { flags, ..self }
    }
}

use End::{Code, Signal};
use Language::{C, Go, Java, Node, Python, Rust, Shell};

/// gcc's flags of most programs; frame pointers, as Fedora and Ubuntu build theirs.
const FRAMES: &[&str] = &["-O1", "-g", "-fno-omit-frame-pointer"];
/// As Debian builds.
const NO_FRAMES: &[&str] = &["-O2", "-fomit-frame-pointer"];

/// Every case, in the order they are run.
pub(super) const ALL: &[Case] = &[
    Case::new("missing-config", Python, &["BBX-MISSING-FILE"], Code(1)),
    Case::new("missing-config-c", C, &["BBX-MISSING-FILE"], Code(1)).flags(NO_FRAMES),
    Case::new("bad-arguments", Python, &["BBX-CONFIG"], Code(2)).arguments(&["--wrokers", "4"]),
    Case::new("refused", Python, &["BBX-CONN-REFUSED"], Code(1)).needs(Need::ClosedPort),
    Case::new("refused-go", Go, &["BBX-CONN-REFUSED"], Code(1)).needs(Need::ClosedPort),
    Case::new("dns", Python, &["BBX-DNS"], Code(1)),
    Case::new("tls", Python, &["BBX-TLS"], Code(1)).needs(Need::Certificate),
    Case::new("port-in-use", Node, &["BBX-PORT-IN-USE"], Code(1)).needs(Need::TakenPort),
    Case::new("permission", C, &["BBX-PERMISSION"], Code(1))
        .needs(Need::SecretFile)
        .flags(FRAMES),
    Case::new("disk-full", Python, &["BBX-DISK-FULL"], Code(1)).needs(Need::SmallDisk),
    Case::new("fd-leak", C, &["BBX-FD-EXHAUSTED"], Code(1))
        .files(64)
        .flags(FRAMES),
    Case::new("thread-limit", C, &["BBX-THREAD-LIMIT"], Code(1))
        .pids(48)
        .flags(FRAMES),
    Case::new("fork-bomb", C, &["BBX-THREAD-LIMIT"], Code(1))
        .pids(48)
        .flags(FRAMES),
    Case::new("memory-leak", Python, &["BBX-OOM-LIMIT"], Signal(9)).memory(48),
    Case::new("sudden-allocation", C, &["BBX-OOM-LIMIT"], Signal(9))
        .memory(64)
        .flags(FRAMES),
    Case::new("jvm-heap", Java, &["BBX-HEAP-LIMIT"], Code(1)).flags(&["-Xmx16m"]),
    Case::new("node-heap", Node, &["BBX-HEAP-LIMIT"], Code(134))
        .under_init()
        .flags(&["--max-old-space-size=32"]),
    Case::new("uncaught-exception", Python, &["BBX-UNCAUGHT"], Code(1)),
    Case::new("go-panic", Go, &["BBX-UNCAUGHT"], Code(2)),
    Case::new("go-nil", Go, &["BBX-SEGV-NULL", "BBX-UNCAUGHT"], Code(2)).top("main.main"),
    Case::new("rust-panic", Rust, &["BBX-UNCAUGHT"], Code(101)),
    Case::new("null-pointer", C, &["BBX-SEGV-NULL"], Signal(libc::SIGSEGV))
        .top("expiry_of")
        .flags(NO_FRAMES),
    Case::new(
        "null-pointer-rust",
        Rust,
        &["BBX-SEGV-NULL"],
        Signal(libc::SIGSEGV),
    )
    .top("main::state_of"),
    Case::new("wild-pointer", C, &["BBX-SEGV-WILD"], Signal(libc::SIGSEGV))
        .top("last_number")
        .flags(FRAMES),
    Case::new(
        "stack-overflow",
        C,
        &["BBX-STACK-OVERFLOW"],
        Signal(libc::SIGSEGV),
    )
    .top("depth_of")
    .flags(&[
        "-O1",
        "-g",
        "-fno-omit-frame-pointer",
        "-fno-optimize-sibling-calls",
    ]),
    Case::new("double-free", C, &["BBX-HEAP-CORRUPTION"], Code(134))
        .top("close_connection")
        .under_init()
        .flags(FRAMES),
    Case::new("assertion", C, &["BBX-ABORT"], Code(134))
        .top("sell")
        .under_init()
        .flags(FRAMES),
    Case::new(
        "illegal-instruction",
        C,
        &["BBX-ILLEGAL-INSTRUCTION"],
        Signal(libc::SIGILL),
    )
    .top("checksum_fast")
    .flags(FRAMES),
    Case::new("divide", C, &["BBX-ARITHMETIC"], Signal(libc::SIGFPE))
        .top("average")
        .flags(FRAMES),
    Case::new("bus-error", C, &["BBX-BUS-ERROR"], Signal(libc::SIGBUS))
        .top("main")
        .flags(FRAMES),
    Case::new("exec-missing", Shell, &["BBX-EXEC-FAILED"], Code(127)),
    Case::new("deadlock", C, &["BBX-WATCHDOG"], Code(1))
        .child_dies()
        .flags(FRAMES),
    Case::new("term-ignored", Python, &["BBX-GRACE-EXPIRED"], Signal(9)).needs(Need::TermThenKill),
    Case::new(
        "killed-by-neighbour",
        C,
        &["BBX-KILLED-BY-PROCESS"],
        Signal(9),
    )
    .needs(Need::Neighbour)
    .flags(FRAMES),
];

impl Case {
    const fn files(self, most: u64) -> Self {
        Self {
            files: Some(most),
            ..self
        }
    }

    const fn arguments(self, arguments: &'static [&'static str]) -> Self {
        Self { arguments, ..self }
    }

    const fn child_dies(self) -> Self {
        Self {
            in_child: true,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_codes_look_like_codes() {
        let names: BTreeSet<_> = ALL.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), ALL.len());
        for case in ALL {
            assert!(!case.expected.is_empty(), "{}", case.name);
            assert!(case.expected.iter().all(|code| code.starts_with("BBX-")));
        }
    }

    #[test]
    fn each_case_has_its_folder_and_its_row() {
        let zoo = super::super::build::own_sources();
        let readme = std::fs::read_to_string(zoo.join("README.md")).unwrap();
        for case in ALL {
            let found = Language::find(&zoo.join(case.name));
            let language = found.map(|(language, _main)| language);
            assert_eq!(language, Some(case.language), "{}", case.name);
            let row = readme
                .lines()
                .find(|line| line.starts_with(&format!("| `{}` |", case.name)));
            let row = row.unwrap_or_else(|| panic!("no row for {}", case.name));
            for code in case.expected {
                assert!(row.contains(code), "{row} lacks {code}");
            }
        }
    }
}
