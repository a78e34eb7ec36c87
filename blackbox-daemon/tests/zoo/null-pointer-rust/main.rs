//! A service that trusts a pointer from a C library: unsafe, null, SIGSEGV.

use std::time::Duration;

#[repr(C)]
struct Device {
    id: u64,
    state: u32,
}

/// What a library's lookup gives for a device that is not there.
#[inline(never)]
fn look_up(id: u64) -> *const Device {
    std::hint::black_box(if id == u64::MAX { id as *const Device } else { std::ptr::null() })
}

#[inline(never)]
fn state_of(id: u64) -> u32 {
    // SAFETY: none, and that is the point: nobody looked whether it is null.
    unsafe { std::ptr::read_volatile(&raw const (*look_up(id)).state) }
}

fn main() {
    println!("INFO sensors starting, pid {}", std::process::id());
    if let Err(error) = std::fs::read("/etc/sensors/calibration") {
        println!("INFO no calibration: {error}");
    }
    for round in 1..=3 {
        std::thread::sleep(Duration::from_millis(200));
        println!("INFO poll {round}: ok");
    }
    println!("INFO device 4 is in state {}", state_of(4));
}
