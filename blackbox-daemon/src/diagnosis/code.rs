//! The cause codes: the one list of what a diagnosis can say, each with its one sentence and what to try.
//!
//! A code is stable: it never changes its meaning and is never used again for another. Each has a page under
//! `docs/causes/` that says what evidence it needs and what would contradict it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $title:literal, $fix:literal;)*) => {
        /// Why something died, or does not run.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        pub enum Code { $($(#[$doc])* #[doc = $title] #[serde(rename = $text)] $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable text: `BBX-OOM-LIMIT`.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means, as half a sentence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What to try first.
            #[must_use]
            pub fn fix(self) -> &'static str {
                match self { $(Self::$name => $fix,)* }
            }
        }
    };
}

codes! {
    OomLimit = "BBX-OOM-LIMIT", "its memory cgroup reached its limit",
        "Compare the limit with what it needs: raise the limit, or find what grows (the memory samples show how fast).";
    OomNode = "BBX-OOM-NODE", "the node ran out of memory",
        "Look at the neighbours that use more than they requested; set requests that match use, or add memory.";
    HeapLimit = "BBX-HEAP-LIMIT", "its runtime's own heap limit was reached",
        "Raise the runtime's limit (-Xmx, --max-old-space-size) below the container's limit, or find the leak in a heap dump.";
    ConnRefused = "BBX-CONN-REFUSED", "a peer it needs refused the connection",
        "Check that the peer runs and listens on that address and port; make the program retry at start.";
    ConnTimeout = "BBX-CONN-TIMEOUT", "a peer it needs did not answer",
        "Check routes, network policies and the peer; make the program retry with a time-out.";
    ConnReset = "BBX-CONN-RESET", "a peer it needs closed the connection",
        "Look at the peer: it ended, restarted or refused what was said; make the program connect again.";
    Unreachable = "BBX-UNREACHABLE", "there is no way to a peer it needs",
        "Check routes, network policies and the address; look at the node's and the pod's interfaces.";
    Auth = "BBX-AUTH", "a peer it needs did not accept its credentials",
        "Compare the user and the secret with what the peer expects; look for a rotated or expired secret.";
    Dns = "BBX-DNS", "a name could not be resolved",
        "Check the name, its namespace and the cluster's DNS; look at /etc/resolv.conf in the container.";
    MissingFile = "BBX-MISSING-FILE", "a file it needs does not exist",
        "Check the path, the image and the mounts (ConfigMap and Secret keys) of the container.";
    Permission = "BBX-PERMISSION", "it was not permitted to do what it needs",
        "Check the owner and mode of the file, runAsUser and fsGroup, capabilities, and read-only mounts.";
    ReadOnly = "BBX-READ-ONLY", "it needs to write to a read-only file system",
        "Mount an emptyDir or a volume where it writes, or unset readOnlyRootFilesystem.";
    DiskFull = "BBX-DISK-FULL", "a file system or quota was full",
        "Free space or enlarge the volume; look for logs and temporary files that grow.";
    IoError = "BBX-IO-ERROR", "a device or volume behind a file failed",
        "Look at the node's kernel log and at the volume's health.";
    FdExhausted = "BBX-FD-EXHAUSTED", "it had no file descriptor left",
        "Find what is opened and never closed; raise the limit of open files only if the number is needed.";
    ThreadLimit = "BBX-THREAD-LIMIT", "it could start no further thread or process",
        "Find what starts threads or processes without end; raise the pids limit only if the number is needed.";
    AllocFailed = "BBX-ALLOC-FAILED", "the system refused it memory",
        "Check limits of address space (ulimit -v), vm.overcommit_memory, and what it asked for.";
    PortInUse = "BBX-PORT-IN-USE", "the address it listens on is taken",
        "Find who listens there (hostNetwork, hostPort, another process of the container); change one of the two.";
    Tls = "BBX-TLS", "a TLS handshake or certificate failed",
        "Check the certificate's names, dates and issuer, and the CA bundle in the image.";
    Config = "BBX-CONFIG", "its configuration or its arguments are wrong",
        "Read its last words; compare arguments, environment and configuration with the last version that ran.";
    ExecFailed = "BBX-EXEC-FAILED", "its program could not be executed",
        "Check the command, its path in the image, its mode, and whether it was built for this architecture.";
    Uncaught = "BBX-UNCAUGHT", "it ended by an error that its code did not catch",
        "Read its last words: the error and where it was raised are there.";
    SegvNull = "BBX-SEGV-NULL", "it used a null pointer",
        "Look at the top function of the stack: a pointer there was null.";
    SegvWild = "BBX-SEGV-WILD", "it used an address that is not its own",
        "Look at the top function of the stack: freed or overwritten memory is the usual reason; run it with a sanitizer.";
    StackOverflow = "BBX-STACK-OVERFLOW", "its stack overflowed",
        "Look for recursion without an end in the stack; raise the stack size only if the depth is needed.";
    HeapCorruption = "BBX-HEAP-CORRUPTION", "its allocator found its heap corrupted",
        "Run it with a sanitizer: memory was freed twice, used after it was freed, or overrun.";
    Abort = "BBX-ABORT", "it aborted itself",
        "Read its last words and the stack: an assertion or a check of its own failed.";
    IllegalInstruction = "BBX-ILLEGAL-INSTRUCTION", "it executed an instruction that the processor does not have",
        "Check that the binary is built for this processor; a compiler's trap for unreachable code looks the same.";
    Arithmetic = "BBX-ARITHMETIC", "it divided by zero or overflowed in a division",
        "Look at the top function of the stack.";
    BusError = "BBX-BUS-ERROR", "it used a mapped file beyond its end, or a misaligned address",
        "Check whether a file it maps was truncated, or a volume behind it failed or is full.";
    Seccomp = "BBX-SECCOMP", "its seccomp profile forbids a system call it made",
        "Allow the call in the seccomp profile, or use the runtime's default profile.";
    ProbeKill = "BBX-PROBE-KILL", "the kubelet restarted it because a probe failed",
        "Look at what it was doing when the probe failed; correct the probe's path, port and time-outs if they are wrong.";
    GraceExpired = "BBX-GRACE-EXPIRED", "it was asked to stop, did not, and was killed",
        "Make it handle SIGTERM (as process 1 of a container nothing does by default), or give it a longer grace period.";
    Watchdog = "BBX-WATCHDOG", "its own watchdog or supervisor killed it because it made no progress",
        "Look at what it waited for: the stack and the call it was in.";
    Deadlock = "BBX-DEADLOCK", "its own parts waited for each other",
        "Look at what each thread or goroutine waited for: its last words list them.";
    CpuStarved = "BBX-CPU-STARVED", "it was throttled by its CPU limit until something gave up on it",
        "Raise the CPU limit or lower the load; probes with short time-outs fail first.";
    KilledByProcess = "BBX-KILLED-BY-PROCESS", "another process killed it",
        "Look at who sent the signal, and why.";
    Evicted = "BBX-EVICTED", "the kubelet evicted its pod",
        "Look at which resource the node was short of, and at the pod's use above its requests.";
    Disrupted = "BBX-DISRUPTED", "its pod had to make room",
        "Look at the disruption's reason: preemption, a taint, or the node's shutdown.";
    Deadline = "BBX-DEADLINE", "its pod ran for longer than it may",
        "Raise activeDeadlineSeconds or find what takes so long.";
    Deleted = "BBX-DELETED", "its pod was deleted",
        "Look at who deleted the pod: the API server's audit log knows.";
    ImagePull = "BBX-IMAGE-PULL", "its image cannot be had",
        "Check the image's name and tag, the registry, and the pull secret.";
    StartFailed = "BBX-START-FAILED", "its container could not be made or started",
        "Read the runtime's message: mounts, devices and the command are the usual reasons.";
    Pending = "BBX-PENDING", "its pod has been pending for too long",
        "Look at the pod's events: resources, volumes, taints.";
    CrashLoop = "BBX-CRASH-LOOP", "it ends again and again and is held back",
        "Look at the report of its first end.";
    NodePressure = "BBX-NODE-PRESSURE", "the node is short of something",
        "Look at the node's conditions and at what uses most of it.";
    RecorderDied = "BBX-RECORDER-DIED", "the recorder itself died",
        "Read the daemon's own log and its container's last state; memory.events of its cgroup says whether memory ran out.";
    NodeDown = "BBX-NODE-DOWN", "the node went down without a clean stop",
        "Ask the machine's own log (IPMI, the cloud's console) for power and resets; with pstore a panic would be told here.";
    NodePanic = "BBX-NODE-PANIC", "the node's kernel panicked",
        "Read the kernel's last lines in the report; look for a known bug of this kernel version, and at the hardware.";
    Unknown = "BBX-UNKNOWN", "the records do not say why",
        "Look at the timeline and at what the report may be missing.";
}

impl Code {
    /// The page about it, in the repository.
    #[must_use]
    pub fn page(self) -> String {
        format!("docs/causes/{}.md", self.text())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Code;

    #[test]
    fn every_code_has_one_text_that_serde_knows() {
        let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.text()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            let text = serde_json::to_string(code).unwrap();
            assert_eq!(text, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), *code);
        }
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let index = fs::read_to_string(root.join("docs/causes/README.md")).unwrap();
        for code in Code::ALL {
            let page = fs::read_to_string(root.join(code.page())).unwrap();
            assert!(page.starts_with(&format!("# {code}\n")), "{code}");
            assert!(page.contains(code.fix()), "{code}: another fix");
            let row = format!("| [{code}]({code}.md) | {} |", code.title());
            assert!(index.contains(&row), "{code}: not in the index");
        }
        let pages = fs::read_dir(root.join("docs/causes")).unwrap();
        assert_eq!(pages.count(), Code::ALL.len() + 1);
    }
}
