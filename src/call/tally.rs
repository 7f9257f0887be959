//! Messages counted once each: what was sent again or captured twice is not a second request.

use crate::sip::{Method, StartLine};

use super::seen::Copy;

/// Methods: those of the registry, and one for all others.
const METHODS: usize = Method::REGISTERED.len() + 1;

/// Status codes from 100 to 699.
const STATUSES: usize = 600;

/// First copies and retransmissions, by method and status.
#[derive(Clone, Debug)]
pub struct Tally {
    requests: [u64; METHODS],
    retransmissions: [u64; METHODS],
    /// By status code, and for each by the method it answers. Flat: one cache line is touched for a response.
    responses: Box<[u64]>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests: [0; METHODS],
            retransmissions: [0; METHODS],
            responses: vec![0; STATUSES * METHODS].into_boxed_slice(),
        }
    }
}

impl Tally {
    /// Counts a message; `about` is its method, or that of the request it answers.
    #[inline]
    pub(super) fn count(&mut self, copy: Copy, start: &StartLine, about: Method) {
        let method = about as usize;
        let slot = match (copy, start) {
            (Copy::Duplicate, _) => None,
            (Copy::Retransmission, _) => self.retransmissions.get_mut(method),
            (Copy::First, StartLine::Request { .. }) => self.requests.get_mut(method),
            (Copy::First, StartLine::Response { status, .. }) => {
                let row = usize::from(*status).checked_sub(100).filter(|row| *row < STATUSES);
                row.and_then(|row| self.responses.get_mut(row * METHODS + method))
            }
        };
        slot.into_iter().for_each(|count| *count += 1);
    }

    /// Requests by method, those that were seen.
    pub fn requests(&self) -> impl Iterator<Item = (Method, u64)> {
        seen(&self.requests)
    }

    /// Messages sent again, by method.
    pub fn retransmissions(&self) -> impl Iterator<Item = (Method, u64)> {
        seen(&self.retransmissions)
    }

    /// Responses by status and by the method they answer.
    pub fn responses(&self) -> impl Iterator<Item = (u16, Method, u64)> {
        let rows = (100u16..).zip(self.responses.chunks(METHODS));
        rows.flat_map(|(status, row)| seen(row).map(move |(method, count)| (status, method, count)))
    }
}

fn seen(counts: &[u64]) -> impl Iterator<Item = (Method, u64)> {
    let methods = Method::REGISTERED.into_iter().chain([Method::Other]);
    methods.zip(counts.iter().copied()).filter(|(_, count)| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Span;

    fn response(status: u16) -> StartLine {
        StartLine::Response { status, reason: Span::default() }
    }

    #[test]
    fn each_message_counts_once_under_its_method() {
        let mut tally = Tally::default();
        let request =
            StartLine::Request { method: Method::Other, token: Span::default(), uri: Span::default() };
        for (copy, start, about) in [
            (Copy::First, &request, Method::Other),
            (Copy::Retransmission, &request, Method::Other),
            (Copy::Duplicate, &request, Method::Other),
            (Copy::First, &response(699), Method::Invite),
            (Copy::First, &response(100), Method::Other),
            (Copy::First, &response(100), Method::Other),
            (Copy::First, &response(99), Method::Invite),
            (Copy::First, &response(700), Method::Invite),
            (Copy::Retransmission, &response(200), Method::Bye),
        ] {
            tally.count(copy, start, about);
        }
        assert_eq!(tally.requests().collect::<Vec<_>>(), [(Method::Other, 1)]);
        assert_eq!(tally.retransmissions().collect::<Vec<_>>(), [(Method::Bye, 1), (Method::Other, 1)]);
        assert_eq!(
            tally.responses().collect::<Vec<_>>(),
            [(100, Method::Other, 2), (699, Method::Invite, 1)]
        );
    }
}
