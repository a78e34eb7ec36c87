//! The C library's allocator, told to keep little: what clients make us take for a moment must not stay.
//!
//! By itself it raises the size from which a block goes straight back to the kernel with each large body that is freed
//! (up to 32 MiB, mallopt(3)), so that later ones stay in its heaps and keep these from shrinking. How many heaps it
//! has is left to it: with one for all threads, parsing in parallel costs several times the processor time.

/// Blocks of this size, bytes, are given back when freed, and so is as much at a heap's end. A segment of the window is one:
/// in the heaps, what is freed long after its neighbours leaves holes that stay resident.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 60 << 10;

/// Must be called while there is one thread.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library has no other way to be told")]
pub fn keep_little() {
    for (parameter, value) in [
        (libc::M_MMAP_THRESHOLD, LARGE),
        (libc::M_TRIM_THRESHOLD, LARGE),
    ] {
        // SAFETY: it sets a number of the allocator's, and no other thread allocates meanwhile.
        let is_set = unsafe { libc::mallopt(parameter, value) } == 1;
        if !is_set {
            tracing::debug!(parameter, "the allocator keeps its default");
        }
    }
}

/// Gives back what lies free between what is used: the start takes much for a moment.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library has no other way to be told")]
pub fn give_back() {
    // SAFETY: it takes a number, and gives back only pages that nothing is allocated in.
    let given = unsafe { libc::malloc_trim(0) } == 1;
    tracing::debug!(given, "free memory was given back");
}

/// Other C libraries give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back() {}

/// Other C libraries have nothing to be told.
#[cfg(not(target_env = "gnu"))]
pub fn keep_little() {}
