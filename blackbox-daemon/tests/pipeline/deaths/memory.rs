//! Deaths for want of memory: which limit, and whose.

use super::*;

fn oom_at(levels: Vec<MemoryLevel>) -> Vec<Record> {
    oom_death(victim(), 0, oom(victim(), levels))
}

pub(super) fn memory_limits() -> Vec<Death> {
    let inner = process(100, "victim", INNER);
    let parents = vec![
        level(INNER, 10 * MIB, Some(2 * LIMIT)),
        level(DEMO, LIMIT, Some(LIMIT)),
        level(ROOT, 4 * LIMIT, None),
    ];
    let grouped = MemoryLevel {
        oom_group: true,
        ..level(DEMO, LIMIT, Some(LIMIT))
    };
    let outside = oom(
        process(80, "other", OTHER),
        vec![level(DEMO, LIMIT, Some(LIMIT))],
    );
    let parent_within = oom(process(80, "sister", DEMO), parents.clone());
    vec![
        Death::new(
            "its own cgroup is at its limit",
            oom_at(vec![
                level(DEMO, LIMIT - 4096, Some(LIMIT)),
                level(ROOT, 4 * LIMIT, None),
            ]),
            ["memory_limit", "proven"],
        )
        .facts(json!({
            "pid": 100, "comm": "victim", "cgroup": "/demo", "limit_cgroup": "/demo",
            "limit_bytes": LIMIT, "usage_bytes": LIMIT - 4096, "victim_rss_bytes": 63 * MIB,
            "allocator_pid": 100, "oom_group": false, "signal_name": "SIGKILL",
            "peak_rss_bytes": 70 * MIB, "parent_pid": 50,
        }))
        .says(&["reached its memory limit of 64.0 MiB", "its own allocation"])
        .never(&["the node ran out"]),
        Death::new(
            "its parent's limit is hit, not its own",
            oom_death(inner, 0, oom(inner, parents.clone())),
            ["memory_limit", "proven"],
        )
        .facts(json!({"cgroup": "/demo/inner", "limit_cgroup": "/demo", "limit_bytes": LIMIT})),
        Death::new(
            "its parent's limit is hit by a sister",
            oom_death(inner, 0, parent_within),
            ["memory_limit", "proven"],
        )
        .facts(json!({"limit_cgroup": "/demo", "allocator_pid": 80, "allocator_comm": "sister"}))
        .says(&["was that of sister (pid 80) in cgroup /demo"]),
        Death::new(
            "the allocator lives outside the limit",
            oom_death(victim(), 0, outside),
            ["memory_limit", "likely"],
        )
        .facts(json!({"limit_cgroup": "/demo", "allocator_pid": 80})),
        Death::new(
            "just within the slack of a limit",
            oom_at(vec![level(DEMO, LIMIT - SLACK, Some(LIMIT))]),
            ["memory_limit", "proven"],
        ),
        Death::new(
            "a whole group goes",
            oom_at(vec![grouped]),
            ["memory_limit", "proven"],
        )
        .facts(json!({"oom_group": true}))
        .says(&["memory.oom.group is set on cgroup /demo"]),
        Death::new(
            "chosen, and not dead yet",
            oom_at(vec![level(DEMO, LIMIT, Some(LIMIT))])[..2].to_vec(),
            ["memory_limit", "likely"],
        )
        .says(&["its death is not recorded yet"]),
    ]
}

/// The kernel counts on each cgroup how often it ran out; 0 excludes its limit.
pub(super) fn counted_limits() -> Vec<Death> {
    let inner = process(100, "victim", INNER);
    let counted = |cgroup, usage, times| MemoryLevel {
        oom_events: Some(times),
        ..level(cgroup, usage, Some(LIMIT))
    };
    let cache_below = vec![counted(INNER, LIMIT, 0), counted(DEMO, LIMIT, 1)];
    let freeing = oom(victim(), vec![counted(DEMO, LIMIT / 2, 2)]);
    let mut second = oom_death(
        process(90, "first", INNER),
        0,
        oom(victim(), vec![counted(DEMO, LIMIT, 1)]),
    );
    second.extend(oom_death(victim(), 10, freeing.clone()));
    vec![
        Death::new(
            "its own cgroup is full of cache and never ran out, its parent did",
            oom_death(inner, 0, oom(inner, cache_below)),
            ["memory_limit", "proven"],
        )
        .facts(json!({"limit_cgroup": "/demo"}))
        .says(&["by the kernel's own count cgroup /demo itself has run out once"]),
        Death::new(
            "a second kill while the first victim's memory is freed",
            second,
            ["memory_limit", "likely"],
        )
        .facts(json!({"limit_cgroup": "/demo"}))
        .never(&["the node ran out"]),
        Death::new(
            "a limit that ran out some other day",
            oom_death(victim(), 0, freeing),
            ["node_oom", "likely"],
        ),
        Death::new(
            "the node has run out, and no limit ever did",
            oom_at(vec![counted(DEMO, LIMIT, 0)]),
            ["node_oom", "proven"],
        ),
        Death::new(
            "a kernel worker kills: somebody may have asked for it",
            oom_death(
                victim(),
                0,
                oom(
                    process(7, "kworker/0:1", ROOT),
                    vec![level(DEMO, LIMIT, None)],
                ),
            ),
            ["node_oom", "likely"],
        ),
    ]
}

pub(super) fn node_ooms() -> Vec<Death> {
    let mark = Exit {
        oom_victim: true,
        ..exit(SIGKILL)
    };
    vec![
        Death::new(
            "the node has run out, and nothing has a limit",
            oom_at(vec![level(DEMO, LIMIT, None), level(ROOT, LIMIT, None)]),
            ["node_oom", "proven"],
        )
        .facts(json!({"limit_bytes": null, "limit_cgroup": null, "victim_rss_bytes": 63 * MIB}))
        .says(&["because the node ran out of memory"]),
        Death::new(
            "the node has run out, and no limit was reached",
            oom_at(vec![
                level(DEMO, LIMIT - SLACK - 1, Some(LIMIT)),
                level(ROOT, LIMIT, None),
            ]),
            ["node_oom", "likely"],
        )
        .facts(json!({"limit_bytes": null})),
        Death::new(
            "the kernel shows no levels",
            oom_at(vec![]),
            ["oom", "likely"],
        )
        .facts(json!({"limit_bytes": null}))
        .never(&["the node ran out"]),
        Death::new(
            "only the exit tells of it",
            vec![about(victim(), 0, Event::Exit(mark))],
            ["oom", "proven"],
        )
        .facts(json!({"limit_bytes": null, "limit_cgroup": null, "victim_rss_bytes": null}))
        .says(&[
            "which memory ran out is not recorded",
            "the record of the OOM kill is missing",
        ]),
    ]
}
