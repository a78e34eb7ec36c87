//! A thread of its own for what must not wait for others, in a tracker of tasks.

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
