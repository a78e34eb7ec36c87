//! What the daemon's threads may do after the start, for `doctor`: threads that give up what they would, for real.

use std::io;

use rustix::thread::set_no_new_privs;

use super::ids::Ids;
use super::seccomp::Role;
use super::{Kept, Vow, capabilities};

/// What was found of one thread.
#[derive(Clone, Debug)]
pub struct Trial {
    pub kept: Kept,
    pub ids: Ids,
    /// The capabilities that it can use, as bits.
    pub capabilities: u64,
    /// Whether a call that is not allowed was denied; it would have done nothing.
    pub denied: bool,
}

/// Lets a thread take `vow`, and looks at it. Of this process nothing changes but that its memory cannot be dumped any more.
///
/// # Errors
/// There is no thread left, or its capabilities cannot be read.
pub fn run(vow: Vow, role: Role) -> io::Result<Trial> {
    let look = move || -> io::Result<Trial> {
        let kept = vow.take(role);
        Ok(Trial {
            kept,
            ids: Ids::own(),
            capabilities: capabilities::effective()?,
            // It is set already.
            denied: set_no_new_privs(true).is_err(),
        })
    };
    let thread = std::thread::Builder::new().name("trial".to_owned());
    let panicked = |_| Err(io::Error::other("the trial panicked"));
    thread.spawn(look)?.join().unwrap_or_else(panicked)
}
