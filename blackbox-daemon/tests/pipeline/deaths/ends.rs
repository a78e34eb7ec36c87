//! Deaths by a signal, by a fault, and by an exit.

use super::*;

pub(super) fn signals() -> Vec<Death> {
    let exec = Event::Exec(Exec {
        parent: shell(),
        exe: "/usr/bin/killer".to_owned(),
    });
    let kill = signal(1, killer(), SIGKILL, SI_USER);
    let mut named = vec![about(killer(), 0, exec)];
    named.extend(death_by(victim(), 1, kill));
    let unlinked = vec![
        sent(victim(), 1, kill, true),
        about(victim(), 2, Event::Exit(exit(SIGKILL))),
    ];
    let own = |number, code| death_by(victim(), 0, signal(0, victim(), number, code));
    let foreign_with = |number, code| death_by(victim(), 0, signal(0, killer(), number, code));
    let foreign = |number| death_by(victim(), 0, signal(0, killer(), number, SI_USER));
    let sender = json!({
        "sender_pid": 70, "sender_comm": "killer", "sender_container": "host unit killer.service",
        "sender_cgroup": "/system.slice/killer.service", "sender_exe": "/usr/bin/killer", "signal": 9,
    });
    vec![
        Death::new(
            "a timer ends it while somebody else runs",
            foreign_with(14, -2),
            ["kernel_signal", "likely"],
        )
        .facts(json!({"signal_name": "SIGALRM", "sender_pid": null}))
        .never(&["killed by SIGALRM from"]),
        Death::new(
            "the file size limit",
            own(25, SI_USER),
            ["kernel_signal", "likely"],
        )
        .says(&["beyond its file size limit"])
        .never(&["to itself and"]),
        Death::new(
            "SIGKILL from another",
            named,
            ["killed_by_signal", "proven"],
        )
        .facts(sender)
        .says(&["was killed by SIGKILL from killer (pid 70) in host unit killer.service"])
        .never(&["OOM killer"]),
        Death::new(
            "only the signal tells who",
            unlinked,
            ["killed_by_signal", "proven"],
        )
        .facts(json!({"sender_pid": 70, "sender_exe": null})),
        Death::new(
            "SIGKILL from nobody known",
            vec![about(victim(), 0, Event::Exit(exit(SIGKILL)))],
            ["unknown", "unknown"],
        )
        .facts(json!({"signal": 9, "sender_pid": null, "limit_bytes": null}))
        .says(&["who sent it is not recorded"])
        .never(&["OOM killer", "oom_kill"]),
        Death::new("abort()", own(SIGABRT, SI_TKILL), ["abort", "proven"])
            .facts(json!({"sender_pid": 100, "signal_name": "SIGABRT", "core_dumped": false})),
        Death::new(
            "SIGABRT from another",
            foreign(SIGABRT),
            ["killed_by_signal", "proven"],
        )
        .facts(json!({"sender_pid": 70, "signal_name": "SIGABRT"}))
        .never(&["aborted itself"]),
        Death::new(
            "SIGSEGV from another",
            foreign(SIGSEGV),
            ["killed_by_signal", "proven"],
        )
        .facts(json!({"sender_pid": 70, "address_class": null})),
        Death::new(
            "SIGKILL to itself",
            own(SIGKILL, SI_USER),
            ["self_signal", "proven"],
        )
        .facts(json!({"sender_pid": 100})),
        Death::new(
            "SIGKILL from the kernel, and no OOM mark",
            death_by(victim(), 0, signal(0, killer(), SIGKILL, SI_KERNEL)),
            ["kernel_signal", "proven"],
        )
        .facts(json!({"signal": 9, "sender_pid": null}))
        .says(&["from the kernel itself", "why is not recorded"])
        .never(&["OOM killer"]),
    ]
}

pub(super) fn faults() -> Vec<Death> {
    let sp = 0x7ffc_0000_0000_u64;
    let fault = |address: Option<u64>, code| {
        let signal = Signal {
            fault_addr: address,
            ip: Some(0x40_1000),
            sp: Some(sp),
            error_code: Some(6),
            ..signal(0, victim(), SIGSEGV, code)
        };
        death_by(victim(), 0, signal)
    };
    let at = |address| fault(Some(address), SEGV_MAPERR);
    let class = |class, address| {
        json!({
            "address_class": class, "fault_address": address, "signal_name": "SIGSEGV",
            "instruction_pointer": "0x401000", "stack_pointer": "0x7ffc00000000",
        })
    };
    let proven = ["fault", "proven"];
    vec![
        Death::new("a null pointer", at(0x18), proven)
            .facts(class("null", json!("0x18")))
            .says(&[
                "wrote to address 0x18, null pointer",
                "as of a null pointer",
            ]),
        Death::new("a stack that overflowed", at(sp - 8), proven)
            .facts(class("stack", json!("0x7ffbfffffff8")))
            .says(&["the stack overflowed"]),
        Death::new("a wild pointer", at(0xdead_0000), proven)
            .facts(class("wild", json!("0xdead0000")))
            .says(&["a wild or stale pointer"]),
        Death::new(
            "an address the processor does not tell",
            fault(None, SI_KERNEL),
            proven,
        )
        .facts(class("untold", Value::Null))
        .never(&["null pointer", "address 0x0"]),
    ]
}

pub(super) fn exits() -> Vec<Death> {
    let ended = |code| vec![about(victim(), 9, Event::Exit(main_exit(code)))];
    let mut asked = vec![sent(
        victim(),
        1,
        signal(1, killer(), SIGTERM, SI_USER),
        false,
    )];
    asked.extend(ended(3));
    let child = process(101, "child", DEMO);
    let mut after_child = death_by(child, 1, signal(1, killer(), SIGTERM, SI_USER));
    if let Event::Exit(exit) = &mut after_child[1].event {
        exit.parent = victim();
    }
    // Within the child's own incident, the parent's end is another one; only the parent's is looked at here.
    after_child.extend(ended(7));
    vec![
        Death::new("exit code 137", ended(137), ["exit_code", "proven"])
            .facts(json!({"exit_code": 137, "signal": null, "limit_bytes": null}))
            .says(&["exit code 137", "a child of it died of SIGKILL"])
            .never(&["OOM killer", "memory limit", "oom_kill", "out of memory"]),
        Death::new("exit code 3 after a SIGTERM it handled", asked, ["exit_code", "proven"])
            .facts(json!({"exit_code": 3, "signal": null}))
            .says(&["killer (pid 70) in host unit killer.service had sent it SIGTERM, which it handles itself"]),
        Death::new("exit code 7 after its child was killed", after_child, ["exit_code", "proven"])
            .facts(json!({"exit_code": 7}))
            .says(&["its child child (pid 101) was killed (SIGTERM)"]),
    ]
}
