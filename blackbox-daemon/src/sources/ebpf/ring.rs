//! A ring buffer of the kernel (`BPF_MAP_TYPE_RINGBUF`), read with every page of it mapped once.
//!
//! The kernel lays the data pages out twice in a row, so that a record across the end lies in one piece. Who maps both rounds,
//! as aya does, has each page twice in its resident size. Here the second round is mapped only as far as the longest record
//! reaches into it. The protocol is that of kernel/bpf/ringbuf.c: positions only grow; a record is a header of 8 bytes, its
//! length with two flags first, and its data, padded to 8.
#![expect(
    unsafe_code,
    reason = "memory that is shared with the kernel is mapped and read"
)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{self, AtomicU32, AtomicUsize, Ordering};

use aya::maps::{MapData, MapError};
use blackbox_common::crash::FatalCrashRecord;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes of a record's header (`BPF_RINGBUF_HDR_SZ`).
const HEADER: usize = 8;
/// The record is not finished (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u32 = 1 << 31;
/// The record was given up (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARDED: u32 = 1 << 30;
/// So much of the second round is mapped, bytes: more than the longest record of the contract.
const OVERLAP: usize = 16 << 10;
const _: () = assert!(HEADER + size_of::<FatalCrashRecord>() <= OVERLAP);

/// See the module.
pub(super) struct Ring {
    map: MapData,
    /// A page that begins with the reader's position; written here.
    consumer: Mapping,
    /// A page that begins with the writers' position, then the data.
    producer: Mapping,
    page: usize,
    /// Bytes of data; a power of two.
    size: usize,
    /// Up to where was read.
    position: usize,
    /// Up to where was written, when last looked.
    written: usize,
    /// The kernel has not been shown yet that this reader came to the end: a wake-up could be missed.
    moved: bool,
}

impl Ring {
    /// Maps a ring.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn new(map: MapData) -> Result<Self, MapError> {
        let page = rustix::param::page_size();
        let size = map.info()?.max_entries() as usize;
        let fd = map.fd().as_fd();
        let writable = ProtFlags::READ | ProtFlags::WRITE;
        let consumer = Mapping::new(fd, (0, page), writable).map_err(MapError::IoError)?;
        let length = page + size + OVERLAP.next_multiple_of(page).min(size);
        let producer =
            Mapping::new(fd, (page as u64, length), ProtFlags::READ).map_err(MapError::IoError)?;
        let mut ring = Self {
            map,
            consumer,
            producer,
            page,
            size,
            position: 0,
            written: 0,
            moved: false,
        };
        ring.position = ring.consumer.position().load(Ordering::Acquire);
        ring.written = ring.position;
        Ok(ring)
    }

    /// Hands the oldest record to `read`, then gives its room back. `None`: there is none at the moment, or it is not finished.
    /// One that reaches further than is mapped is handed over empty: it is none of the contract's.
    pub(super) fn take<T>(&mut self, mut read: impl FnMut(&[u8]) -> T) -> Option<T> {
        while self.has_more() {
            let at = self.page + (self.position & (self.size - 1));
            let header = self.producer.header(at)?;
            if header & BUSY != 0 {
                if !self.saw_the_end() {
                    return None;
                }
                continue;
            }
            let length = (header & !(BUSY | DISCARDED)) as usize;
            let taken = (header & DISCARDED == 0)
                .then(|| read(self.producer.bytes(at + HEADER, length).unwrap_or_default()));
            self.position += (HEADER + length).next_multiple_of(HEADER);
            // Pairs with the kernel's acquiring load before it uses the room again.
            let position = self.consumer.position();
            position.store(self.position, Ordering::Release);
            self.moved = true;
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    /// Whether something was written that has not been read.
    fn has_more(&mut self) -> bool {
        if self.position == self.written {
            self.saw_the_end();
            self.written = self.producer.position().load(Ordering::Acquire);
        }
        self.position != self.written
    }

    /// Before the last look at what is not ready: either that look sees it, or its writer sees where this reader is, and
    /// wakes it. Whether another look is needed.
    fn saw_the_end(&mut self) -> bool {
        if self.moved {
            atomic::fence(Ordering::SeqCst);
        }
        std::mem::take(&mut self.moved)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}

/// Memory shared with the kernel.
struct Mapping {
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: it is an address and a length; what lies there belongs to no thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, (offset, length): (u64, usize), how: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping, at an address the kernel chooses.
        let address = unsafe {
            mmap(
                std::ptr::null_mut(),
                length,
                how,
                MapFlags::SHARED,
                fd,
                offset,
            )?
        };
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, length })
    }

    /// The position it begins with.
    fn position(&self) -> &AtomicUsize {
        // SAFETY: every mapping is a page at least, aligned to one, and lives as long as this.
        unsafe { self.address.cast().as_ref() }
    }

    /// The header at `at`, with what its writer wrote before it.
    fn header(&self, at: usize) -> Option<u32> {
        self.bytes(at, size_of::<AtomicU32>())?;
        // SAFETY: inside the mapping, just checked; records begin at multiples of 8.
        let header: &AtomicU32 = unsafe { self.address.add(at).cast().as_ref() };
        Some(header.load(Ordering::Acquire))
    }

    /// `length` bytes of a record that no writer touches any more. `None`: not all of them are mapped.
    fn bytes(&self, at: usize, length: usize) -> Option<&[u8]> {
        if at.checked_add(length)? > self.length {
            return None;
        }
        // SAFETY: inside the mapping, just checked; the kernel leaves a finished record alone until it is given back.
        Some(unsafe { std::slice::from_raw_parts(self.address.add(at).as_ptr(), length) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and no reference outlives `self`.
        if let Err(error) = unsafe { munmap(self.address.as_ptr().cast(), self.length) } {
            tracing::debug!(%error, "a ring stays mapped");
        }
    }
}
