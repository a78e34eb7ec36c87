//! How much memory the bodies of all requests may take at once.
//!
//! Each body has its own bound, but a thousand slow ones together would be a thousand of them. The first [`FREE`]
//! bytes of a body are its own, bounded by the number of connections: what honest sidecars send mostly fits, so those
//! who fill the room keep none of them out. What is larger takes its place as it grows, and waits `PATIENCE` for
//! it. Nobody waits for a whole body's place: it may never come. And as parsing keeps a processor busy, large bodies
//! are parsed one at a time and beside the runtime's workers, which answer the others meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::api::error::{ApiError, Code};

/// Bytes of each body that take no place.
pub const FREE: usize = 8 << 10;
/// Bytes of all bodies together, beside the free ones.
pub const BYTES: usize = 3 << 20;
/// Longest wait for a place.
const PATIENCE: Duration = Duration::from_secs(1);

/// The place of all bodies. Clones share it.
#[derive(Clone, Debug)]
pub struct Room {
    bytes: Arc<Semaphore>,
    /// One: whose body is parsed.
    turn: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

impl Room {
    /// One of another size, for tests.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(bytes)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// A place for a body that has not come yet.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            room: self.clone(),
            taken: None,
        }
    }

    /// Does what takes long, when it is its turn, on a thread where it holds up nobody.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let broken = |_| ApiError::new(Code::InternalError, "the body could not be parsed");
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|closed| broken(closed.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            // Kept to the end, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        match done.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(broken(error.to_string())),
            },
        }
    }
}

/// The place of one body, given back when dropped.
#[derive(Debug)]
pub struct Place {
    room: Room,
    taken: Option<OwnedSemaphorePermit>,
}

impl Place {
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    fn bytes(&self) -> usize {
        let taken = self.taken.as_ref();
        FREE + taken.map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Makes it `bytes` large, or leaves it larger.
    ///
    /// # Errors
    /// 503: others take too much, and went on doing so.
    pub async fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let more = bytes.saturating_sub(self.bytes());
        if more == 0 {
            return Ok(());
        }
        let full = || {
            let message = "too many large bodies are on the way; try again, or send smaller ones";
            ApiError::new(Code::ServiceUnavailable, message).retry_after(PATIENCE)
        };
        let more = u32::try_from(more).ok().ok_or_else(full)?;
        let waiting = Arc::clone(&self.room.bytes).acquire_many_owned(more);
        let got = timeout(PATIENCE, waiting).await;
        let got = got.ok().and_then(Result::ok).ok_or_else(full)?;
        match &mut self.taken {
            Some(taken) => taken.merge(got),
            none => *none = Some(got),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_taken_is_given_back_and_the_first_bytes_are_free() {
        let room = Room::of(100);
        let (mut one, mut two) = (room.place(), room.place());
        one.grow(FREE + 60).await.unwrap();
        one.grow(FREE + 90).await.unwrap();
        one.grow(1).await.unwrap();
        assert_eq!(room.bytes.available_permits(), 10);
        let refused = two.grow(FREE + 11).await.unwrap_err();
        assert_eq!(refused.code, Code::ServiceUnavailable);
        assert_eq!(refused.retry_after, Some(PATIENCE));
        two.grow(FREE).await.unwrap();
        let mut waiting = room.place();
        let (grown, ()) = tokio::join!(waiting.grow(FREE + 100), async { drop(one) });
        grown.unwrap();
        drop((two, waiting));
        assert_eq!(room.bytes.available_permits(), 100);
    }
}
