//! Memory that will soon be needed, brought near.
//!
//! To wait for a piece of memory that no cache of the processor holds takes as long as hundreds of instructions. Who
//! says early what will be needed waits for all of it at once, and while other things are done.
//!
//! Not too much at once: a processor waits for some twenty lines at a time, and what it is asked for meanwhile it may forget.
//! What a long list needs is therefore fetched [one by one](steps), each a little before its turn.
//!
//! It is advice: nothing changes that a program can see, where there is no memory nothing happens, and processors other
//! than these are told nothing.

/// Has the cache line brought near that `thing` begins in.
#[inline(always)]
pub(crate) fn fetch<T>(thing: &T) {
    processor::nearest(std::ptr::from_ref(thing).cast());
}

/// The steps in which each of `count` things is fetched `ahead` steps before its turn: which one is to be fetched, if there is one
/// left, and whose turn it is, once the first is there.
#[inline]
pub(crate) fn steps(count: usize, ahead: usize) -> impl Iterator<Item = (usize, Option<usize>)> {
    (0..count + ahead).map(move |step| (step, step.checked_sub(ahead)))
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "there is no other way to say it")]
mod processor {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    #[inline(always)]
    pub(super) fn nearest(address: *const i8) {
        // SAFETY: the instruction changes nothing and has no faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) }
    }
}

#[cfg(target_arch = "aarch64")]
#[allow(unsafe_code, reason = "there is no other way to say it")]
mod processor {
    use std::arch::asm;

    #[inline(always)]
    pub(super) fn nearest(address: *const i8) {
        // SAFETY: the instruction changes nothing and has no faults, whatever the address.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(readonly, nostack, preserves_flags)) }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod processor {
    pub(super) const fn nearest(_: *const i8) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_after_it_was_fetched() {
        let all: Vec<_> = steps(3, 2).collect();
        assert_eq!(all, [(0, None), (1, None), (2, Some(0)), (3, Some(1)), (4, Some(2))]);
        assert_eq!(steps(0, 2).filter_map(|(_, turn)| turn).count(), 0);
    }

    #[test]
    fn nothing_changes() {
        let text = String::from("as before");
        fetch(&text);
        fetch(&());
        assert_eq!(text, "as before");
    }
}
