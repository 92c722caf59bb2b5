//! Memory that is not there: a message and exit code 1, where Rust's own way is to abort.

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write;

use mimalloc::MiMalloc;

/// The allocator, which ends the program where there is no memory.
pub struct OrEnd(pub MiMalloc);

/// The memory, if it is there.
fn there(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() {
        end(bytes);
    }
    memory
}

/// Says what is wrong without asking for memory, and ends the program.
#[cold]
fn end(bytes: usize) -> ! {
    let mut text = [0; 200];
    let mut rest = &mut text[..];
    let _ = writeln!(
        rest,
        "error: no memory for {bytes} bytes more; smaller batches, networks or tables need less, and `anabranch resume` goes on with a run"
    );
    let written = 200 - rest.len();
    let _ = std::io::stderr().write_all(&text[..written]);
    std::process::exit(1);
}

// SAFETY: every call is passed on as it came to an allocator that keeps the contract; what is null never comes back.
unsafe impl GlobalAlloc for OrEnd {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        there(unsafe { self.0.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        there(unsafe { self.0.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        there(unsafe { self.0.realloc(memory, layout, size) }, size)
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { self.0.dealloc(memory, layout) };
    }
}
