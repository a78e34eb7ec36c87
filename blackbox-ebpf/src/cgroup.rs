//! Cgroups created and removed, before anything runs inside and after everything has left.

use aya_ebpf::{
    helpers::bpf_probe_read_kernel_str_bytes, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use aya_log_ebpf::warn;
use blackbox_common::{
    cgroup::{CgroupRecord, PATH_LEN},
    header::Kind,
};

use crate::{
    emit,
    offsets::{Ptr, Task, offset, setting},
};

#[btf_tracepoint(function = "cgroup_mkdir")]
pub(crate) fn cgroup_mkdir(ctx: BtfTracePointContext) -> i32 {
    tell(&ctx, Kind::CgroupMkdir)
}

#[btf_tracepoint(function = "cgroup_rmdir")]
pub(crate) fn cgroup_rmdir(ctx: BtfTracePointContext) -> i32 {
    tell(&ctx, Kind::CgroupRmdir)
}

#[inline(always)]
fn tell(ctx: &BtfTracePointContext, kind: Kind) -> i32 {
    let cgroup = Ptr(ctx.arg::<*const u8>(0));
    let path: *const u8 = ctx.arg(1);
    // On hybrid hosts each hierarchy numbers its cgroups itself: only the watched one's ids mean anything.
    if cgroup
        .follow(offset!(cgroup_root))
        .direct::<u32>(offset!(root_hierarchy))
        != setting!(hierarchy)
    {
        return 0;
    }
    let Some(mut reserved) = emit::crit::<CgroupRecord>(kind, Task::current().wire()) else {
        return 0;
    };
    let record = reserved.record();
    // SAFETY: `record` is the reserved room for a whole `CgroupRecord`; of `path` only `path_len` bytes are read.
    let len = unsafe {
        (&raw mut (*record).id).write(
            cgroup
                .follow(offset!(cgroup_kn))
                .direct::<u64>(offset!(kn_id)),
        );
        let room: &mut [u8; PATH_LEN] = &mut *(&raw mut (*record).path);
        let len = bpf_probe_read_kernel_str_bytes(path, room).map_or(0, <[u8]>::len);
        (&raw mut (*record).path_len).write(len as u32);
        (&raw mut (*record).pad).write(0);
        len
    };
    reserved.submit();
    if len == 0 {
        warn!(ctx, "the path of a cgroup could not be read");
    }
    0
}
