//! Real programs crash here under ptrace(2), which gives what the kernel programs record, without them.

use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::record::{BootTime, FilePlace, RawFrame, Registers};
use crate::report::FoundBy;

const LIBRARY: &str = "
__attribute__((noipa)) int lib_crash(int *p, int deep) { if (deep > 3) p++; *p = deep; return deep + 2; }
__attribute__((noipa)) int lib_step(int *p, int deep) {
    if (deep > 0) return lib_step(p, deep - 1) + 3;
    return lib_crash(p, deep) * 3 + deep;
}
__attribute__((noipa)) int lib_enter(int *p) { char room[200]; room[p != 0] = 1; return lib_step(p, 2) + room[0]; }
";
const PROGRAM: &str = "
int lib_enter(int *p);
__attribute__((noipa)) int crash_here(int *p, int x) { *p = x; return x + 1; }
__attribute__((noipa)) int jump_here(int *p, int x) { int (*f)(int) = (int (*)(int))p; return f(x) + x; }
__attribute__((noipa)) int middle(int how, int *p, int a, int b) {
    int kept = a * 7 + b;
    if (how == 1) return crash_here(p, a) + kept;
    if (how == 2) return jump_here(p, a) + kept;
#ifdef LIB
    if (how == 3) return lib_enter(p) + kept;
#endif
    return kept;
}
__attribute__((noipa)) int outer(int how, int *p) { int a = middle(how, p, how, 3); return a + middle(0, p, a, how); }
int main(int argc, char **argv) { return outer(argv[1][0] - '0', 0) & 1; }
";

const FRAME_POINTER: &[&str] = &["-O1", "-fno-omit-frame-pointer"];
const NO_FRAME_POINTER: &[&str] = &["-O2", "-fomit-frame-pointer"];

/// A root with the program `/app` and its library.
struct Built {
    root: tempfile::TempDir,
}

impl Built {
    fn new(flags: &[&str]) -> Self {
        let built = Self {
            root: tempfile::tempdir().unwrap(),
        };
        let path = built.root.path();
        fs::create_dir_all(path.join("usr/lib")).unwrap();
        fs::write(path.join("lib.c"), LIBRARY).unwrap();
        fs::write(path.join("app.c"), PROGRAM).unwrap();
        let library = ["-shared", "-fPIC", "lib.c", "-o", "usr/lib/libdeep.so"];
        built.gcc(flags, &library);
        let app = ["-DLIB", "app.c", "-o", "app", "-Lusr/lib", "-ldeep"];
        built.gcc(flags, &app);
        built
    }

    fn gcc(&self, flags: &[&str], rest: &[&str]) {
        // At -O2 gcc makes a loop of the recursion otherwise.
        let always = ["-Wl,--build-id=sha1", "-fno-optimize-sibling-calls"];
        let mut gcc = Command::new("gcc");
        gcc.args(always).args(flags).args(rest);
        let done = gcc.current_dir(self.root.path()).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{gcc:?}: {said}");
    }

    fn path(&self) -> PathBuf {
        self.root.path().to_owned()
    }

    fn crash(&self, how: &str) -> CrashStack {
        crash(self.root.path(), how)
    }

    fn explain(&self, stack: &CrashStack) -> Stack {
        explain(stack, RecordId(1), Some("/app"), &[self.path()])
    }
}

/// Names up to `main`, which must be there.
fn chain(stack: &Stack) -> Vec<&str> {
    let names = stack.frames.iter().map(|frame| frame.function.as_deref());
    let names: Vec<&str> = names.map(|name| name.unwrap_or("?")).collect();
    let end = names.iter().position(|name| *name == "main");
    let end = end.unwrap_or_else(|| panic!("no main in {stack:#?}"));
    names[..=end].to_vec()
}

/// Runs `/app` of a root until a signal is about to kill it, and takes what a record has, with only the top frame.
#[expect(unsafe_code, reason = "ptrace(2) is no safe call")]
fn crash(root: &Path, how: &str) -> CrashStack {
    let mut command = Command::new(root.join("app"));
    command
        .arg(how)
        .env("LD_LIBRARY_PATH", root.join("usr/lib"));
    command.stdin(Stdio::null());
    // SAFETY: a single system call, which is allowed between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let mut child = command.spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let wait = || {
        let mut status = 0;
        // SAFETY: `status` is where the status may be written.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert!(libc::WIFSTOPPED(status), "{status:#x}");
        libc::WSTOPSIG(status)
    };
    let go_on = |signal: i32| {
        // SAFETY: the child is stopped; no memory is touched.
        let done = unsafe { libc::ptrace(libc::PTRACE_CONT, pid, 0, signal) };
        assert_eq!(done, 0);
    };
    assert_eq!(wait(), libc::SIGTRAP);
    go_on(0);
    let signal = wait();
    let registers = registers(pid);
    let mut stack = vec![0u8; 16 << 10];
    let local = libc::iovec {
        iov_base: stack.as_mut_ptr().cast(),
        iov_len: stack.len(),
    };
    let remote = libc::iovec {
        iov_base: registers.sp.unwrap() as *mut libc::c_void,
        iov_len: stack.len(),
    };
    // SAFETY: `local` is all of `stack`; the kernel checks `remote`.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    stack.truncate(usize::try_from(read).unwrap());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let start_code = fields.split(' ').nth(26 - 3).unwrap().parse().unwrap();
    let ip = registers.ip.unwrap();
    let file = place(pid, ip);
    go_on(signal);
    assert_eq!(child.wait().unwrap().signal(), Some(signal));
    CrashStack {
        at: BootTime(0),
        signal: u32::try_from(signal).unwrap(),
        handled: false,
        registers,
        start_code: Some(start_code),
        frames: vec![RawFrame { ip, file }],
        stack,
    }
}

/// The file at an address of a process.
fn place(pid: i32, ip: u64) -> Option<FilePlace> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (begin, end) = fields[0].split_once('-').unwrap();
        if !(number(begin)..number(end)).contains(&ip) {
            return None;
        }
        let elf = elf::Elf::read(fs::File::open(fields.get(5)?).unwrap()).unwrap();
        let id = elf.build_id?;
        let mut build_id = [0; 20];
        build_id[..id.len()].copy_from_slice(&id);
        Some(FilePlace {
            build_id,
            offset: ip - number(begin) + number(fields[2]),
        })
    })
}

#[expect(unsafe_code, reason = "ptrace(2) is no safe call")]
fn registers(pid: i32) -> Registers {
    // SAFETY: all of it is numbers.
    let mut given: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let mut into = libc::iovec {
        iov_base: (&raw mut given).cast(),
        iov_len: size_of_val(&given),
    };
    const NT_PRSTATUS: usize = 1;
    // SAFETY: `into` is all of `given`.
    let done = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, pid, NT_PRSTATUS, &raw mut into) };
    assert_eq!(done, 0);
    #[cfg(target_arch = "x86_64")]
    return Registers {
        ip: Some(given.rip),
        sp: Some(given.rsp),
        fp: Some(given.rbp),
        kept: [given.rbx, given.r12, given.r13, given.r14, given.r15].map(Some),
    };
    #[cfg(target_arch = "aarch64")]
    return Registers {
        ip: Some(given.pc),
        sp: Some(given.sp),
        fp: Some(given.regs[29]),
        kept: [Some(given.regs[30]), None, None, None, None],
    };
}

const IN_PROGRAM: &[&str] = &["crash_here", "middle", "outer", "main"];
const IN_LIBRARY: &[&str] = &[
    "lib_crash",
    "lib_step",
    "lib_step",
    "lib_step",
    "lib_enter",
    "middle",
    "outer",
    "main",
];

#[test]
fn a_crash_in_the_program_is_named_up_to_main() {
    for flags in [FRAME_POINTER, NO_FRAME_POINTER] {
        let built = Built::new(flags);
        let stack = built.crash("1");
        let explained = built.explain(&stack);
        assert_eq!(chain(&explained), IN_PROGRAM, "{flags:?}");
        let first = &explained.frames[0];
        assert_eq!(first.found_by, FoundBy::InstructionPointer);
        assert_eq!(first.module.as_deref(), Some("/app"));
        assert!(first.build_id.as_ref().is_some_and(|id| id.len() == 40));
        assert_eq!(explained.frames[1].found_by, FoundBy::CallFrameInformation);
        let unsure = "no record says that this is the file that ran";
        assert!(!explained.notes.iter().any(|note| note.contains(unsure)));
    }
}

#[test]
fn a_crash_in_a_library_is_named_up_to_main() {
    for flags in [FRAME_POINTER, NO_FRAME_POINTER] {
        let built = Built::new(flags);
        let stack = built.crash("3");
        let explained = built.explain(&stack);
        assert_eq!(chain(&explained), IN_LIBRARY, "{flags:?}");
        let module = |at: usize| explained.frames[at].module.as_deref();
        assert_eq!(module(0), Some("/usr/lib/libdeep.so"));
        assert_eq!(module(5), Some("/app"));
        // No frame named the program's build id.
        assert_eq!(explained.frames[5].build_id, None);
        assert!(explained.notes[0].starts_with("/app is what is at its path now"));
    }
}

#[test]
fn a_call_of_a_null_pointer_has_its_caller() {
    for flags in [FRAME_POINTER, NO_FRAME_POINTER] {
        let built = Built::new(flags);
        let stack = built.crash("2");
        assert_eq!(stack.registers.ip, Some(0));
        let explained = built.explain(&stack);
        assert_eq!(
            chain(&explained),
            ["?", "jump_here", "middle", "outer", "main"]
        );
    }
}

#[test]
fn a_file_with_another_build_id_is_refused() {
    let built = Built::new(NO_FRAME_POINTER);
    let mut stack = built.crash("1");
    if let Some(file) = &mut stack.frames[0].file {
        file.build_id[3] ^= 1;
    }
    let explained = built.explain(&stack);
    assert_eq!(explained.frames.len(), 1, "{explained:#?}");
    assert_eq!(explained.frames[0].function, None);
    assert_eq!(explained.frames[0].module, None);
    assert!(explained.notes[0].contains("was not found on this node"));
}

#[test]
fn without_build_id_a_program_that_is_not_moved_is_used_with_a_note() {
    let built = Built::new(NO_FRAME_POINTER);
    let fixed = ["-no-pie", "-Wl,--build-id=none", "app.c", "-o", "app"];
    built.gcc(NO_FRAME_POINTER, &fixed);
    let stack = CrashStack {
        start_code: None,
        ..built.crash("1")
    };
    assert_eq!(stack.frames[0].file, None);
    let explained = built.explain(&stack);
    assert_eq!(chain(&explained), IN_PROGRAM);
    assert!(explained.notes[0].contains("no record says that this is the file that ran"));
}

#[test]
fn lines_are_named_where_debug_information_has_them() {
    let built = Built::new(&["-g", "-O2"]);
    let explained = built.explain(&built.crash("1"));
    let source = explained.frames[0].source.as_deref().unwrap();
    assert!(source.ends_with("app.c:3"), "{source}");
}

#[test]
fn without_symbols_there_are_places_and_a_note() {
    let built = Built::new(&["-O2", "-s"]);
    let explained = built.explain(&built.crash("1"));
    assert!(explained.frames.len() >= 4, "{explained:#?}");
    assert!(
        explained.frames[..4].iter().all(|frame| {
            frame.module.as_deref() == Some("/app") && frame.file_offset.is_some()
        })
    );
    let note = "/app has no names of these functions";
    assert!(
        explained.notes.iter().any(|said| said == note),
        "{:?}",
        explained.notes
    );
}

#[test]
fn the_kernels_frames_go_on_where_the_copy_of_the_stack_ends() {
    let built = Built::new(FRAME_POINTER);
    let mut stack = built.crash("1");
    let whole = built.explain(&stack);
    let address = |frame: &Frame| u64::from_str_radix(&frame.address[2..], 16).unwrap();
    for frame in &whole.frames[1..4] {
        let (ip, file) = (address(frame), None);
        stack.frames.push(RawFrame { ip, file });
    }
    stack.stack.truncate(64);
    let explained = built.explain(&stack);
    assert_eq!(chain(&explained), IN_PROGRAM);
    assert_eq!(explained.frames[3].found_by, FoundBy::FramePointer);
}

#[test]
fn no_link_leads_out_of_a_root_and_only_files_are_opened() {
    let built = Built::new(NO_FRAME_POINTER);
    let stack = built.crash("1");
    let root = tempfile::tempdir().unwrap();
    let app = root.path().join("app");
    let explained = || explain(&stack, RecordId(1), Some("/app"), &[root.path().to_owned()]);
    let unnamed = || {
        explained()
            .frames
            .iter()
            .all(|frame| frame.function.is_none())
    };
    assert!(unnamed());
    std::os::unix::fs::symlink(built.root.path().join("app"), &app).unwrap();
    assert!(unnamed());
    fs::remove_file(&app).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &app, rustix::fs::Mode::RUSR).unwrap();
    assert!(unnamed());
    fs::remove_file(&app).unwrap();
    fs::copy(built.root.path().join("app"), &app).unwrap();
    assert_eq!(chain(&explained()), IN_PROGRAM);
}

#[test]
fn damaged_files_cost_names_only() {
    let built = Built::new(&["-g", "-O2"]);
    let stack = built.crash("1");
    let app = built.root.path().join("app");
    let whole = fs::read(&app).unwrap();
    let mut seed = 1u64;
    let (mut named, mut unnamed) = (0, 0);
    for round in 0..300 {
        let mut damaged = whole.clone();
        // The file's headers; the sections' headers at its end; anything but what identifies the file.
        let (part, bytes) = match round % 3 {
            0 => (0..1024, 1),
            1 => (whole.len() - 2048..whole.len(), 4),
            _ => (1024..whole.len(), 40),
        };
        for _ in 0..bytes {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(seed >> 33).unwrap() % part.len();
            damaged[part.start + at] = seed.to_le_bytes()[3];
        }
        fs::remove_file(&app).unwrap();
        fs::write(&app, &damaged).unwrap();
        match &*built.explain(&stack).frames {
            [] => panic!("no frames in round {round}"),
            [first, ..] if first.function.is_some() => named += 1,
            _ => unnamed += 1,
        }
    }
    assert!(named > 20 && unnamed > 20, "{named} {unnamed}");
}
