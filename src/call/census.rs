//! Counts of everything that was seen: messages by what they are, calls by how they ended.

use std::collections::BTreeMap;

use foldhash::HashSet;

use super::bindings::BindingCounts;
use super::performance::Performance;
use super::record::CallResult;
use crate::sip::{Faults, Message, Method, SipTransport, StartLine};

/// Call-IDs counted exactly; beyond, the number is estimated. As many as fill the table of 2^21 places and 9 bytes each
/// that a million would need too.
const EXACT_CALL_IDS: usize = (1 << 21) / 8 * 7;

/// Methods outside the registry that are counted by name, and the longest name.
const MAX_OTHER_METHODS: usize = 64 - Method::REGISTERED.len();
const MAX_METHOD_NAME: usize = 64;

/// What was seen of SIP and of calls.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Whole messages, retransmissions and second captures too.
    pub messages: u64,
    methods: [u64; Method::REGISTERED.len()],
    other_methods: BTreeMap<Vec<u8>, u64>,
    too_many_methods: u64,
    /// Responses by status code.
    responses: ByStatus,
    /// Messages by transport, in the order of [`SipTransport::ALL`].
    pub transports: [u64; SipTransport::ALL.len()],
    /// Messages sent again.
    pub retransmissions: u64,
    /// Messages captured again.
    pub duplicates: u64,
    /// Messages that break RFC 3261 and were taken all the same.
    pub malformed: u64,
    /// Datagrams shorter than their Content-Length.
    pub truncated: u64,
    /// Datagrams with bytes after their body.
    pub extra_bytes: u64,
    /// Messages without a Call-ID: counted, but part of no call.
    pub without_call_id: u64,
    /// Messages with a session description.
    pub with_sdp: u64,
    call_ids: CallIds,
    /// Calls that began.
    pub calls: u64,
    /// Calls that were answered.
    pub answered: u64,
    /// Calls by result, in the order of [`CallResult::ALL`].
    pub results: [u64; CallResult::ALL.len()],
    /// REGISTER dialogs.
    pub registrations: u64,
    /// Dialogs that went because the table was full.
    pub evicted: u64,
    /// Legs that were not joined, or not looked for, because a table was full.
    pub legs_dropped: u64,
    /// How well calls and registrations are set up.
    pub performance: Performance,
    /// What became of bindings.
    pub bindings: BindingCounts,
}

impl Census {
    /// Counts a message.
    pub(crate) fn message(&mut self, message: &Message, bytes: &[u8]) {
        self.messages += 1;
        if let Some(count) = self.transports.get_mut(message.transport as usize) {
            *count += 1;
        }
        match message.head.start {
            StartLine::Request { method, token, .. } => self.request(method, token.of(bytes)),
            StartLine::Response { status, .. } => self.responses.count(status),
        }
        let faults = message.head.faults;
        let mut harmless = Faults::EXTRA_BYTES;
        harmless.add(Faults::TRUNCATED);
        self.malformed += u64::from(faults.0 & !harmless.0 != 0);
        self.truncated += u64::from(faults.has(Faults::TRUNCATED));
        self.extra_bytes += u64::from(faults.has(Faults::EXTRA_BYTES));
        self.with_sdp += u64::from(message.sdp);
        self.without_call_id += u64::from(message.head.call_id.is_empty());
    }

    fn request(&mut self, method: Method, token: &[u8]) {
        if let Some(count) = self.methods.get_mut(method as usize) {
            *count += 1;
        } else if let Some(count) = self.other_methods.get_mut(token) {
            *count += 1;
        } else if token.len() <= MAX_METHOD_NAME && self.other_methods.len() < MAX_OTHER_METHODS {
            self.other_methods.insert(token.to_vec(), 1);
        } else {
            self.too_many_methods += 1;
        }
    }

    /// Responses by status code, those that were seen.
    #[must_use]
    pub fn responses(&self) -> BTreeMap<u16, u64> {
        let counts = (0..).zip(&self.responses.0);
        counts.filter(|(_, count)| **count > 0).map(|(status, &count)| (status, count)).collect()
    }

    /// Requests by method as sent, those that were seen.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        let registered = Method::REGISTERED.iter().zip(&self.methods);
        let registered = registered.map(|(method, &count)| (method.name().to_owned(), count));
        let others = self.other_methods.iter();
        let others = others.map(|(token, &count)| (String::from_utf8_lossy(token).into_owned(), count));
        let rest = [("OTHER".to_owned(), self.too_many_methods)];
        let mut requests = BTreeMap::new();
        for (method, count) in registered.chain(others).chain(rest).filter(|(_, count)| *count > 0) {
            *requests.entry(method).or_default() += count;
        }
        requests
    }

    /// The counts alone, without what is needed to count on: small, however many calls there were.
    #[must_use]
    pub(crate) fn counts(&self) -> Self {
        let call_ids = CallIds { counted: Some(self.call_ids()), ..CallIds::default() };
        Self {
            messages: self.messages,
            methods: self.methods,
            other_methods: self.other_methods.clone(),
            too_many_methods: self.too_many_methods,
            responses: self.responses.clone(),
            transports: self.transports,
            retransmissions: self.retransmissions,
            duplicates: self.duplicates,
            malformed: self.malformed,
            truncated: self.truncated,
            extra_bytes: self.extra_bytes,
            without_call_id: self.without_call_id,
            with_sdp: self.with_sdp,
            call_ids,
            calls: self.calls,
            answered: self.answered,
            results: self.results,
            registrations: self.registrations,
            evicted: self.evicted,
            legs_dropped: self.legs_dropped,
            performance: self.performance.clone(),
            bindings: self.bindings,
        }
    }

    pub(crate) fn call_id(&mut self, hash: u64) {
        self.call_ids.add(hash);
    }

    /// Different Call-IDs, and whether the number is an estimate.
    #[must_use]
    pub fn call_ids(&self) -> (u64, bool) {
        self.call_ids.count()
    }

    pub(crate) fn result(&mut self, result: CallResult) {
        if let Some(count) = self.results.get_mut(result as usize) {
            *count += 1;
        }
    }
}

/// Counts by status code: three digits.
#[derive(Clone, Debug)]
struct ByStatus(Box<[u64]>);

impl Default for ByStatus {
    fn default() -> Self {
        Self(vec![0; 1000].into_boxed_slice())
    }
}

impl ByStatus {
    #[inline]
    fn count(&mut self, status: u16) {
        self.0.get_mut(usize::from(status)).into_iter().for_each(|count| *count += 1);
    }
}

/// A set of hashes that turns into an estimate when it grows too large.
#[derive(Clone, Debug, Default)]
struct CallIds {
    exact: HashSet<u64>,
    /// Those that came last and are not in the set yet: it is large, and its cache misses overlap when many are looked
    /// for together.
    recent: Vec<u64>,
    /// HyperLogLog registers (Flajolet et al. 2007), 2^14 of them: a standard error of 0.8 %.
    registers: Vec<u8>,
    /// Set in a copy that has the number only.
    counted: Option<(u64, bool)>,
}

const REGISTER_BITS: u32 = 14;

/// Hashes that wait for [`CallIds::exact`].
const MAX_RECENT: usize = 64;

impl CallIds {
    fn add(&mut self, hash: u64) {
        if !self.registers.is_empty() {
            self.estimate(hash);
            return;
        }
        self.recent.push(hash);
        if self.recent.len() < MAX_RECENT {
            return;
        }
        std::hint::black_box(self.recent.iter().filter(|hash| self.exact.contains(*hash)).count());
        // One by one, for room for all would be more than is ever needed.
        for hash in self.recent.drain(..) {
            self.exact.insert(hash);
        }
        if self.exact.len() > EXACT_CALL_IDS {
            self.registers = vec![0; 1 << REGISTER_BITS];
            for hash in std::mem::take(&mut self.exact) {
                self.estimate(hash);
            }
        }
    }

    fn estimate(&mut self, hash: u64) {
        let register = (hash >> (64 - REGISTER_BITS)) as usize;
        let rank = (hash << REGISTER_BITS).leading_zeros().min(64 - REGISTER_BITS) as u8 + 1;
        if let Some(highest) = self.registers.get_mut(register) {
            *highest = rank.max(*highest);
        }
    }

    fn count(&self) -> (u64, bool) {
        if let Some(counted) = self.counted {
            return counted;
        }
        if self.registers.is_empty() {
            let recent: HashSet<&u64> =
                self.recent.iter().filter(|hash| !self.exact.contains(*hash)).collect();
            return ((self.exact.len() + recent.len()) as u64, false);
        }
        let count = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|&rank| 0.5f64.powi(i32::from(rank))).sum();
        let bias = 0.7213 / (1.0 + 1.079 / count);
        ((bias * count * count / sum).round() as u64, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn call_ids_are_exact_and_then_close() {
        let hasher = foldhash::quality::FixedState::with_seed(1);
        let mut ids = CallIds::default();
        for number in 0..EXACT_CALL_IDS as u64 {
            ids.add(hasher.hash_one(number));
            ids.add(hasher.hash_one(number / 2));
            assert!(number > 300 || ids.count() == (number + 1, false), "at any time");
        }
        assert_eq!(ids.count(), (EXACT_CALL_IDS as u64, false));
        for number in 0..2 * EXACT_CALL_IDS as u64 {
            ids.add(hasher.hash_one(number));
        }
        let (count, estimated) = ids.count();
        assert!(estimated);
        let all = 2 * EXACT_CALL_IDS as u64;
        assert!(count.abs_diff(all) < all / 40, "{count} for {all}");
    }
}
