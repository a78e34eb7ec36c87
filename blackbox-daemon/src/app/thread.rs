//! A thread of its own for what must not wait for others, nor wake them, in a tracker of tasks.

use std::future::Future;
use std::io;

use tokio_util::task::TaskTracker;

/// Does `work` on a thread called `name`. The tracker waits for its end, a panic's too.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn spawn(
    tasks: &TaskTracker,
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _done = done;
            work();
        })?;
    tasks.spawn(async move {
        // An error is the sender's end, which is what is waited for.
        ended.await.unwrap_or_default();
    });
    Ok(())
}

/// Runs on a thread called `name` what `future` makes there; it may wait for time and for queues, and for nothing else.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn run<F: Future<Output = ()>>(
    tasks: &TaskTracker,
    name: &str,
    future: impl FnOnce() -> F + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    spawn(tasks, name, move || runtime.block_on(future()))
}
