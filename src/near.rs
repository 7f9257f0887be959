//! Memory that will soon be needed, brought near.
//!
//! To wait for a piece of memory that no cache of the processor holds takes as long as hundreds of instructions. Who
//! says early what will be needed waits for all of it at once, and while other things are done.
//!
//! It is advice: nothing changes that a program can see, where there is no memory nothing happens, and processors other
//! than these are told nothing.

/// Whether this processor is one of those that are told.
pub(crate) const HELPS: bool = processor::HELPS;

/// Has the cache line brought near that `thing` begins in.
#[inline(always)]
pub(crate) fn fetch<T>(thing: &T) {
    processor::first_level(std::ptr::from_ref(thing).cast());
}

/// Has the cache line of an address brought into the second level of caches, for memory that somebody else will read.
#[inline(always)]
pub(crate) fn fetch_at(address: usize) {
    processor::second_level(std::ptr::without_provenance(address));
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "there is no other way to say it")]
mod processor {
    use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};

    pub(super) const HELPS: bool = true;

    #[inline(always)]
    pub(super) fn first_level(address: *const i8) {
        // SAFETY: the instruction changes nothing and has no faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
    }

    #[inline(always)]
    pub(super) fn second_level(address: *const i8) {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(address) }
    }
}

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "there is no other way to say it")]
mod processor {
    use std::arch::asm;

    pub(super) const HELPS: bool = true;

    #[inline(always)]
    pub(super) fn first_level(address: *const i8) {
        // SAFETY: the instruction changes nothing and has no faults, whatever the address.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags)) }
    }

    #[inline(always)]
    pub(super) fn second_level(address: *const i8) {
        // SAFETY: as above.
        unsafe { asm!("prfm pldl2keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags)) }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod processor {
    pub(super) const HELPS: bool = false;

    pub(super) const fn first_level(_: *const i8) {}
    pub(super) const fn second_level(_: *const i8) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_and_no_address_harms() {
        let text = String::from("as before");
        fetch(&text);
        fetch(&());
        [0, 1, 1 << 20, 1 << 46, usize::MAX].into_iter().for_each(fetch_at);
        assert_eq!(text, "as before");
    }
}
