//! Large pages for the heap of a run over captures.
//!
//! What is known of dialogs lies in tens of megabytes that are read here and there: with pages of 4 KiB the processor
//! spends a tenth of such a run on finding out where they are in memory. glibc asks for large pages only where its
//! environment says so (`GLIBC_TUNABLES`, `glibc.malloc.hugetlb`), which is read before the program is; so room for
//! the heap is made at once here, and the system is asked to use large pages (2 MiB) for it. Where it cannot,
//! everything is as it was; with another C library there is no such module.

/// Address space of the heap. Nothing of it takes memory before it is used; what is needed beyond has small pages.
const ROOM: usize = 256 << 20;

/// Bytes that are not free in the heap of a program that has just begun: to ask for them makes it grow.
const PROBE: usize = 1 << 20;

/// Tables of up to this size are in the heap, not in memory maps of their own: the most that glibc allows.
const MOST: i32 = 32 << 20;

/// What all of these numbers are to begin with.
const USUAL: i32 = 128 << 10;

/// Makes room for the heap and asks for large pages there. For a program that has one thread yet: the heaps of others
/// are not the one that this is about.
#[allow(
    unsafe_code,
    reason = "no crate says to the system what is said here; none of the calls can harm memory"
)]
pub(super) fn prefer_large_pages() {
    let room = i32::try_from(ROOM).unwrap_or(i32::MAX);
    // SAFETY: `mallopt` sets numbers; `malloc` and `free` are called as they have to be; `sbrk(0)` tells an address,
    // and advice of this kind changes nothing of what memory holds, whoever uses it and for what.
    unsafe {
        let before = libc::sbrk(0).addr();
        libc::mallopt(libc::M_MMAP_THRESHOLD, MOST);
        libc::mallopt(libc::M_TRIM_THRESHOLD, room.saturating_mul(2));
        libc::mallopt(libc::M_TOP_PAD, room);
        // The compiler would leave out a block that nobody looks at.
        let probe = std::hint::black_box(libc::malloc(PROBE));
        libc::free(probe);
        let end = libc::sbrk(0).addr();
        if probe.is_null() || end < before.saturating_add(ROOM) {
            // No such room: ask for as little as ever.
            for number in [libc::M_TOP_PAD, libc::M_TRIM_THRESHOLD, libc::M_MMAP_THRESHOLD] {
                libc::mallopt(number, USUAL);
            }
            return;
        }
        let start = std::ptr::without_provenance_mut(before.next_multiple_of(4 << 10));
        libc::madvise(start, end.saturating_sub(start.addr()), libc::MADV_HUGEPAGE);
    }
}
