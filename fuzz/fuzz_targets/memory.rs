//! Memory with an end: an input that makes a target take more of it is found at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::abort;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Many times what any input of the fuzzer's length may take.
const BYTES_MAX: usize = 256 << 20;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static MEMORY: Memory = Memory;

struct Memory;

// SAFETY: each call is passed on to the system's allocator, or ends the program.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size() > BYTES_MAX {
            // A null pointer would be an error that a reader may pass over.
            abort();
        }
        // SAFETY: the layout is the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: both are the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}
