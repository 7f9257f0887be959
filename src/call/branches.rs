//! The branches on which the INVITE that is to begin a call was sent: over one hop after another, and from one hop to
//! several ends, one after the other or at once (RFC 3261 16.6, 16.7).

use smallvec::SmallVec;

/// Branches remembered: what is sent on more is not told from what was not seen.
const MAX_BRANCHES: usize = 16;

/// Who began the call sent it.
const OURS: u32 = 1;

/// It has failed.
const FAILED: u32 = 2;

/// The INVITE itself was seen on it, and not only an answer.
const SENT: u32 = 4;

/// A refusal was acknowledged on it.
const ACKNOWLEDGED: u32 = 8;

/// It was cancelled.
const CANCELLED: u32 = 1 << 31;

/// Something answered on it, be it provisionally.
const HEARD: u32 = 1 << 30;

/// That it has failed, nothing but an ACK has told.
const INFERRED: u32 = 1 << 29;

/// It is one of the next try, whose INVITE was seen there in front of that of who began the call.
const AHEAD: u32 = 1 << 28;

const MARKS: u32 = OURS | FAILED | SENT | ACKNOWLEDGED | CANCELLED | HEARD | INFERRED | AHEAD;

/// The branches of the latest try.
#[derive(Debug, Default)]
pub(super) struct Branches(SmallVec<[u32; 4]>);

impl Branches {
    /// The INVITE was sent on that branch, by who began the call (`is_ours`) or by somebody after; true when that is new.
    pub(super) fn sent(&mut self, branch: u64, is_ours: bool) -> bool {
        let is_new = self.know(branch, is_ours);
        self.mark(branch, SENT);
        is_new
    }

    /// The INVITE on that branch has the number of a try that who began the call was not yet seen to make.
    #[cold]
    pub(super) fn goes_ahead(&mut self, branch: u64) {
        self.mark(branch, AHEAD);
    }

    fn know(&mut self, branch: u64, is_ours: bool) -> bool {
        let is_new = !self.may_have(branch);
        if is_new {
            self.0.push(of(branch) | if is_ours { OURS } else { 0 });
        }
        is_new
    }

    fn mark(&mut self, branch: u64, mark: u32) {
        self.0.iter_mut().filter(|known| is(**known, branch)).for_each(|known| *known |= mark);
    }

    fn has(&self, branch: u64, mark: u32) -> bool {
        self.0.iter().any(|&known| is(known, branch) && known & mark != 0)
    }

    /// Something answered on that branch.
    pub(super) fn heard(&mut self, branch: u64) {
        self.mark(branch, HEARD);
    }

    /// Who began the call sends the INVITE on that branch in place of those that nothing answered: to the next server (RFC 3263 4.3).
    pub(super) fn replace_silent(&mut self, branch: u64) {
        let silent =
            self.0.iter_mut().filter(|known| **known & (OURS | HEARD) == OURS && !is(**known, branch));
        silent.for_each(|known| *known |= FAILED);
    }

    /// The branch has a final answer that is no 2xx; the INVITE may still come, if the answer overtook it.
    pub(super) fn failed(&mut self, branch: u64) {
        self.know(branch, false);
        self.0.iter_mut().filter(|known| is(**known, branch)).for_each(|known| *known &= !INFERRED);
        self.mark(branch, FAILED);
    }

    /// Such an answer was acknowledged on the branch, and was not seen so far.
    #[cold]
    pub(super) fn inferred(&mut self, branch: u64) {
        self.failed(branch);
        self.mark(branch, INFERRED);
    }

    /// Whether nothing but an ACK has told that the branch has failed.
    pub(super) fn is_inferred(&self, branch: u64) -> bool {
        self.has(branch, INFERRED)
    }

    /// The INVITE was cancelled on that branch, by who began the call (`is_ours`) or by somebody after: a CANCEL goes over one hop and
    /// has the branch of what it cancels (RFC 3261 9.1). Where that was not captured, it is of all that who began the call sent.
    pub(super) fn cancelled(&mut self, branch: u64, is_ours: bool) {
        if !self.may_have(branch) && is_ours {
            self.0.iter_mut().filter(|known| **known & OURS != 0).for_each(|known| *known |= CANCELLED);
            // No other answer to it is waited for.
            self.0.push(of(branch) | OURS | FAILED);
        }
        self.mark(branch, CANCELLED);
    }

    /// Whether who began the call has given it up: of the branches that they sent, those that did not fail were cancelled. What a
    /// proxy cancels behind them, for another branch or because its Timer C has fired, is not given up (RFC 3261 16.7, 16.8).
    pub(super) fn are_given_up(&self) -> bool {
        self.are_cancelled() && !self.0.iter().any(|known| known & (OURS | FAILED | CANCELLED) == OURS)
    }

    /// Whether who began the call has cancelled one of them.
    pub(super) fn are_cancelled(&self) -> bool {
        self.0.iter().any(|known| known & (OURS | CANCELLED) == OURS | CANCELLED)
    }

    /// Whether somebody has cancelled one of them.
    pub(super) fn is_one_cancelled(&self) -> bool {
        self.0.iter().any(|known| known & CANCELLED != 0)
    }

    /// The ACK of a refusal has the branch of its INVITE (RFC 3261 17.1.1.3).
    pub(super) fn acknowledged(&mut self, branch: u64) {
        self.mark(branch, ACKNOWLEDGED);
    }

    /// A refusal was acknowledged on it.
    pub(super) fn is_acknowledged(&self, branch: u64) -> bool {
        self.has(branch, ACKNOWLEDGED)
    }

    /// The INVITE was seen on it: what goes that way, as an ACK does, is captured.
    pub(super) fn was_sent(&self, branch: u64) -> bool {
        self.has(branch, SENT)
    }

    /// Who began the call sent the INVITE on that branch.
    pub(super) fn are_ours(&self, branch: u64) -> bool {
        self.has(branch, OURS)
    }

    /// The branch has a final answer that is no 2xx.
    pub(super) fn has_failed(&self, branch: u64) -> bool {
        self.has(branch, FAILED)
    }

    /// At least one has such an answer, and who began the call waits for no other.
    pub(super) fn have_failed(&self) -> bool {
        self.0.iter().any(|known| known & FAILED != 0) && !self.are_pending()
    }

    /// Who began the call still waits for an answer on one of them.
    pub(super) fn are_pending(&self) -> bool {
        self.0.iter().any(|known| known & (OURS | FAILED) == OURS)
    }

    /// Whether somebody who answered provisionally has not refused: of those behind the hop of who began the call, where such were seen.
    pub(super) fn ring_on(&self) -> bool {
        let are_behind = self.0.iter().any(|known| known & OURS == 0);
        let mut last = self.0.iter().filter(|known| (*known & OURS == 0) == are_behind);
        last.any(|known| known & (HEARD | FAILED) == HEARD)
    }

    /// Who sent on them all so far did not begin the call. Who did may still be to send the try that they are of (`are_ahead`).
    pub(super) fn disown(&mut self, are_ahead: bool) {
        let ahead = if are_ahead { AHEAD } else { 0 };
        self.0.iter_mut().for_each(|known| *known = *known & !OURS | ahead);
    }

    /// Whether the INVITE may have been sent on that branch.
    pub(super) fn may_have(&self, branch: u64) -> bool {
        self.0.len() >= MAX_BRANCHES || self.0.iter().any(|&known| is(known, branch))
    }

    /// It is sent anew, with another number: those that went ahead are left.
    pub(super) fn clear(&mut self) {
        self.0.retain(|known| *known & AHEAD != 0);
        self.0.iter_mut().for_each(|known| *known &= !AHEAD);
    }
}

const fn of(branch: u64) -> u32 {
    branch as u32 & !MARKS
}

const fn is(known: u32, branch: u64) -> bool {
    known & !MARKS == of(branch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_long_as_one_is_pending() {
        let mut branches = Branches::default();
        assert!(branches.sent(16, true) && branches.sent(32, false) && !branches.sent(16, true));
        branches.failed(32);
        assert!(branches.are_pending() && !branches.have_failed() && branches.has_failed(32));
        assert!(branches.are_ours(16) && !branches.are_ours(32));
        branches.failed(16);
        assert!(branches.have_failed());
        assert!(!branches.are_pending() && branches.may_have(32) && !branches.may_have(48));
        assert!(branches.sent(48, true) && branches.are_pending());
        branches.clear();
        assert!(!branches.are_pending() && !branches.may_have(16));
    }

    #[test]
    fn who_began_the_call_gives_it_up() {
        let mut branches = Branches::default();
        branches.sent(16, true);
        branches.sent(32, false);
        branches.cancelled(32, false);
        branches.cancelled(48, false);
        assert!(!branches.are_given_up() && branches.is_one_cancelled(), "a proxy cancels its own branches");
        branches.sent(64, true);
        branches.cancelled(16, true);
        assert!(!branches.are_given_up() && branches.are_cancelled(), "the other one goes on");
        branches.failed(64);
        assert!(branches.are_given_up());
        branches.sent(80, true);
        assert!(!branches.are_given_up());
        branches.cancelled(96, true);
        assert!(branches.are_given_up(), "its INVITE was not captured");
        branches.failed(80);
        branches.failed(16);
        assert!(!branches.are_pending());
    }

    #[test]
    fn an_answer_alone_is_no_invite() {
        let mut branches = Branches::default();
        branches.failed(16);
        assert!(!branches.was_sent(16) && !branches.is_acknowledged(16));
        assert!(!branches.sent(16, true) && branches.was_sent(16), "the answer overtook it");
        branches.acknowledged(16);
        branches.acknowledged(32);
        assert!(branches.is_acknowledged(16) && !branches.is_acknowledged(32));
    }

    #[test]
    fn what_an_ack_tells_lasts_until_its_answer_comes() {
        let mut branches = Branches::default();
        branches.sent(16, true);
        branches.inferred(16);
        branches.inferred(32);
        assert!(branches.have_failed() && branches.is_inferred(16) && !branches.is_inferred(48));
        branches.failed(16);
        assert!(branches.has_failed(16) && !branches.is_inferred(16) && branches.is_inferred(32));
    }

    #[test]
    fn those_that_went_ahead_are_of_the_next_try() {
        let mut branches = Branches::default();
        branches.sent(16, true);
        branches.sent(32, false);
        branches.goes_ahead(32);
        branches.heard(32);
        branches.clear();
        assert!(!branches.may_have(16) && branches.was_sent(32) && branches.ring_on());
        branches.clear();
        assert!(!branches.may_have(32));
    }

    #[test]
    fn another_began_the_call() {
        let mut branches = Branches::default();
        branches.sent(16, true);
        branches.cancelled(16, true);
        branches.disown(false);
        branches.sent(32, true);
        assert!(branches.are_pending() && !branches.are_cancelled() && branches.is_one_cancelled());
        assert!(!branches.are_ours(16) && branches.was_sent(16) && branches.are_ours(32));
    }

    #[test]
    fn some_answer_and_some_are_silent() {
        let mut branches = Branches::default();
        branches.sent(16, true);
        branches.sent(32, true);
        branches.heard(32);
        assert!(branches.ring_on());
        branches.sent(48, true);
        branches.replace_silent(48);
        assert!(branches.has_failed(16) && !branches.has_failed(32) && !branches.has_failed(48));
        for branch in [64, 80] {
            branches.sent(branch, false);
            assert!(!branches.ring_on(), "what is behind tells");
        }
        branches.replace_silent(48);
        assert!(!branches.has_failed(64), "a proxy's are not the caller's to replace");
        branches.heard(64);
        assert!(branches.ring_on());
        branches.failed(64);
        assert!(!branches.ring_on() && branches.are_pending());
    }

    #[test]
    fn many_are_not_remembered() {
        let mut branches = Branches::default();
        for branch in 0..1_000_u64 {
            branches.sent(branch << 4, true);
        }
        assert!(branches.0.len() == MAX_BRANCHES && branches.may_have(5_000));
    }
}
