//! Who is registered where, as registrars said it (RFC 3261 10.3).
//!
//! In: 2xx answers to REGISTER; they list every binding of an address-of-record that their registrar has. Out: bindings that
//! have not expired. Bounded in number and in the length of their texts; at the cap the one that would expire first goes. The
//! texts are kept only where somebody may ask for them: an address and a contact are known by their hashes.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::fast::RandomState;
use serde::Serialize;
use smallvec::SmallVec;

use super::deadlines::{Armed, Deadlines, Entry, Fired};
use super::firsts::firsts;
use super::record::{display, rfc3339};
use crate::flow::{Address, Endpoint, Index};
use crate::sip::header::{Name, NameAddress, list, number, parameter, text, values};
use crate::sip::{Head, Rare};
use crate::slots::Slots;
use crate::time::{PacketTime, Timestamp};

/// Bindings known at once: 90 bytes each, and about 900 more at most where they are told, 100 MiB when full. Attack:
/// registrations of random users.
const MAX_BINDINGS: usize = 100_000;

/// At the cap, one binding of so many is found to be one of the next to expire at once.
const NEXT_PART: usize = 16;

/// Addresses-of-record that a page looks at: it takes well below a millisecond.
const PAGE_LOOKS: usize = 4096;

/// Bindings that are over and may come back. At the cap all are forgotten: those that come back then count as new.
const MAX_LAPSED: usize = 16_384;

/// Contacts of one answer. Attack: a message of 1 MiB that consists of them.
const MAX_CONTACTS: usize = 64;

/// Bytes kept of an address-of-record, a contact or a user agent.
const MAX_TEXT: usize = 256;

/// RFC 3261 10.2.1.1: what a registrar takes when nobody says how long.
const USUAL: u64 = 3600;

/// What is left of a binding is told in whole seconds: when it ends is known no better, however often it is listed.
const ROUNDING: Duration = Duration::from_secs(2);

/// Moments that a REGISTER waits for its answer, while another one may pass the next hop: 4.3 s, and then it comes again.
const LONGEST_WAIT: u64 = 64;

/// Nobody registers for longer than a month; larger values are lies or mistakes.
const LONGEST: u64 = 31 * 24 * 3600;

/// A binding, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Binding {
    /// Address-of-record: the URI of To.
    pub aor: String,
    /// Where it can be reached: the URI of Contact.
    pub contact: String,
    /// When it ends.
    #[serde(serialize_with = "rfc3339")]
    pub expires: Timestamp,
    /// When it was first seen.
    #[serde(serialize_with = "rfc3339")]
    pub since: Timestamp,
    /// When it was last confirmed.
    #[serde(serialize_with = "rfc3339")]
    pub refreshed: Timestamp,
    /// Who sent the REGISTER.
    #[serde(serialize_with = "display")]
    pub source: Endpoint,
    /// Who it went to.
    #[serde(serialize_with = "display")]
    pub registrar: Endpoint,
    /// User-Agent of the REGISTER; empty when it did not say.
    pub user_agent: String,
    /// It ended without being confirmed anew: the phone cannot be reached.
    pub lapsed: bool,
}

/// An address-of-record, and where it is reached: a slot without contacts is free.
#[derive(Debug, Default)]
struct Record {
    hash: u64,
    /// Rises each time the slot is freed.
    generation: u32,
    /// Of nearly all there is one.
    contacts: SmallVec<[Known; 1]>,
    /// When the first of its bindings expires.
    armed: Armed,
}

impl Record {
    /// Whether it is the one that an entry of the wheel was made for.
    const fn is_of(&self, entry: &Entry) -> bool {
        self.generation == entry.generation
    }

    fn find(&mut self, contact: u64) -> Option<&mut Known> {
        self.contacts.iter_mut().find(|known| known.contact == contact)
    }

    /// When the first binding that holds expires.
    fn next_expiry(&self) -> Option<Timestamp> {
        self.contacts.iter().filter(|known| !known.lapsed).map(|known| known.expires).min()
    }
}

/// A binding, as it is kept.
#[derive(Debug)]
struct Known {
    /// The hash of its contact.
    contact: u64,
    expires: Timestamp,
    /// What else is told of it; none where nobody asks.
    more: Option<Box<More>>,
    /// Over which hop it was last made or confirmed, and when: the low bits of the moment.
    hop: Hop,
    confirmed: u8,
    /// A REGISTER made it and another one on the next hop: a border controller has a contact of its own there.
    has_other: bool,
    lapsed: bool,
    /// The answer that is being read has it.
    listed: bool,
}

const _: () = assert!(size_of::<Known>() == 32);

impl Known {
    /// Whether it ends at another time than was known, and not only by rounding: a REGISTER was about it.
    fn ends_otherwise(&self, expires: Timestamp) -> bool {
        expires.since(self.expires).max(self.expires.since(expires)) >= ROUNDING
    }

    /// Whether an answer that does not list it says nothing of it: the answer is of another hop, and while its REGISTER waited, this
    /// one passed that. Whoever comes at another time comes instead, also if another host of a cluster answers.
    fn is_beside(&self, heard: &Heard) -> bool {
        let age = (heard.at as u8).wrapping_sub(self.confirmed);
        !self.hop.shares(heard.hop) && (self.has_other || u64::from(age) <= heard.took)
    }
}

/// Where an answer was captured: hashes of the host that registers and of the end that answers it.
#[derive(Clone, Copy, Debug)]
struct Hop {
    client: u16,
    server: u16,
}

impl Hop {
    /// Whether both are to one registrar: that, or one of the hosts of a cluster to whom the same client turns.
    const fn shares(self, other: Self) -> bool {
        self.client == other.client || self.server == other.server
    }
}

/// An answer that is being read: over which hop it came, when, and how long its REGISTER had waited; both in moments.
#[derive(Clone, Copy, Debug)]
struct Heard {
    hop: Hop,
    at: u64,
    took: u64,
}

/// A time in moments of 2^26 ns, 67 ms.
const fn moment(time: Timestamp) -> u64 {
    time.0 >> 26
}

/// What is told of a binding and not needed to follow it.
#[derive(Debug)]
struct More {
    since: Timestamp,
    refreshed: Timestamp,
    source: Endpoint,
    registrar: Endpoint,
    /// The address-of-record, behind it the contact, and behind that the user agent.
    texts: Box<[u8]>,
    /// Where the first two end.
    ends: [u16; 2],
}

impl More {
    fn new(aor: &[u8], contact: &[u8], answer: &Registration<'_>) -> Self {
        let [aor, contact, agent] = [aor, contact, answer.user_agent].map(cut);
        Self {
            since: answer.now,
            refreshed: answer.now,
            source: answer.source,
            registrar: answer.registrar,
            texts: [&*aor, &*contact, &*agent].concat().into(),
            ends: [aor.len() as u16, (aor.len() + contact.len()) as u16],
        }
    }

    /// `ahead` is how far packet time is ahead of stamps.
    fn told(&self, known: &Known, ahead: Duration) -> Binding {
        let [aor_end, contact_end] = self.ends.map(usize::from);
        let part = |from: usize, to: usize| text(self.texts.get(from..to).unwrap_or_default());
        Binding {
            aor: part(0, aor_end),
            contact: part(aor_end, contact_end),
            expires: known.expires.before(ahead),
            since: self.since.before(ahead),
            refreshed: self.refreshed.before(ahead),
            source: self.source,
            registrar: self.registrar,
            user_agent: part(contact_end, self.texts.len()),
            lapsed: known.lapsed,
        }
    }
}

/// What an answer comes with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration<'a> {
    pub(super) head: &'a Head,
    pub(super) bytes: &'a [u8],
    pub(super) source: Endpoint,
    pub(super) registrar: Endpoint,
    /// Whom the answer goes to, and who gives it: over another hop than the first neither is one of those above.
    pub(super) client: Endpoint,
    pub(super) server: Endpoint,
    pub(super) user_agent: &'a [u8],
    /// The contact that was registered.
    pub(super) contact: &'a [u8],
    /// When the REGISTER was sent, and now, in packet time.
    pub(super) asked: Timestamp,
    pub(super) now: Timestamp,
}

/// What became of bindings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BindingCounts {
    /// Those that hold.
    pub active: u64,
    /// Made.
    pub added: u64,
    /// Confirmed in time, by a REGISTER that put off their end: what is listed beside them, and over the next hop, is not.
    pub refreshed: u64,
    /// Taken away: by the phone, or no longer listed by the registrar.
    pub removed: u64,
    /// Over without refresh: the phone cannot be reached.
    pub expired: u64,
    /// Of these, made anew later.
    pub returned: u64,
    /// Gone because the table was full.
    #[serde(skip)]
    pub evicted: u64,
}

/// What an answer did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Learned {
    /// How long the binding that holds longest does.
    pub(super) longest: Duration,
    /// How long that of the contact that was registered does, where the answer lists it.
    pub(super) own: Option<Duration>,
    /// How long one that is made anew had been over.
    pub(super) late: Option<Duration>,
}

/// All bindings known.
#[derive(Debug)]
pub struct Bindings {
    /// Somebody may ask for them.
    are_told: bool,
    records: Slots<Record>,
    free: Vec<u32>,
    index: Index,
    deadlines: Deadlines,
    /// How far packet time, which all times here are of, is ahead of stamps.
    ahead: Duration,
    fired: Vec<Entry>,
    /// Those that were the next to expire when it was last looked for them: when, and whose.
    next: VecDeque<(Timestamp, u32)>,
    active: usize,
    lapsed: usize,
    counts: BindingCounts,
    /// With a secret of this process: nobody outside can make the hashes of two addresses the same.
    hasher: RandomState,
}

impl Bindings {
    /// None yet. Unless they `are_told`, they are counted alone, and every [page](Self::page) is empty.
    pub(super) fn new(are_told: bool) -> Self {
        Self {
            are_told,
            records: Slots::default(),
            free: Vec::new(),
            index: Index::default(),
            deadlines: Deadlines::new(),
            ahead: Duration::ZERO,
            fired: Vec::new(),
            next: VecDeque::new(),
            active: 0,
            lapsed: 0,
            counts: BindingCounts::default(),
            hasher: RandomState::default(),
        }
    }

    /// How many hold.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.active
    }

    /// Whether none holds.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.active == 0
    }

    /// What became of all there were.
    #[must_use]
    pub fn counts(&self) -> BindingCounts {
        BindingCounts { active: self.len() as u64, ..self.counts }
    }

    /// Tells where packet time begins, before anything is learned.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.deadlines.begin(now);
    }

    /// Takes a 2xx answer to a REGISTER: what it lists is bound, and nothing else of its address-of-record at that registrar.
    pub(super) fn learn(&mut self, answer: &Registration<'_>) -> Learned {
        let mut learned = Learned::default();
        let aor = without_parameters(answer.head.to_uri.of(answer.bytes));
        if aor.is_empty() {
            return learned;
        }
        let (hash, heard) = (self.hash(aor), self.heard(answer));
        let mut found = self.find(hash);
        if let Some(slot) = found {
            self.lapse(slot, answer.now);
        }
        for (contact, lifetime) in contacts(answer).filter(|&(_, lifetime)| lifetime > 0) {
            let slot = *found.get_or_insert_with(|| self.insert(hash));
            let lifetime = Duration::from_secs(lifetime);
            learned.longest = learned.longest.max(lifetime);
            if contact.eq_ignore_ascii_case(answer.contact) {
                learned.own = Some(lifetime);
            }
            learned.late = learned.late.max(self.bind((slot, heard.hop), (aor, contact), lifetime, answer));
        }
        if let Some(slot) = found {
            self.keep_listed((slot, &heard), learned.longest.is_zero());
            self.schedule(slot);
        }
        while self.active > MAX_BINDINGS && self.evict() {}
        learned
    }

    /// Forgets what has expired, within a second.
    pub(super) fn expire(&mut self, time: PacketTime) {
        let now = time.now;
        self.ahead = time.ahead();
        let mut fired = std::mem::take(&mut self.fired);
        self.deadlines.expire(now, &mut fired);
        for entry in fired.drain(..) {
            let record = self.records.get_mut(entry.slot as usize);
            let record = record.filter(|record| record.is_of(&entry));
            if record.is_some_and(|record| self.deadlines.fired(entry, &mut record.armed, now) == Fired::Due)
            {
                self.lapse(entry.slot, now);
                self.schedule(entry.slot);
            }
        }
        self.fired = fired;
        let armed = |entry: &Entry| {
            let record = self.records.get(entry.slot as usize)?;
            record.is_of(entry).then_some(record.armed)
        };
        self.deadlines.tidy(self.index.len(), armed);
    }

    /// Two URIs that RFC 3261 19.1.4 finds equal have one hash as far as case goes: that of the user alone matters.
    fn hash(&self, uri: &[u8]) -> u64 {
        let mut uri: SmallVec<[u8; 128]> = SmallVec::from_slice(uri);
        let host = uri.iter().rposition(|byte| *byte == b'@').unwrap_or_default();
        let user = uri.iter().take(host).position(|byte| *byte == b':').unwrap_or_default();
        uri.get_mut(..user).into_iter().for_each(<[u8]>::make_ascii_lowercase);
        uri.get_mut(host..).into_iter().for_each(<[u8]>::make_ascii_lowercase);
        self.hasher.hash_one(uri.as_slice())
    }

    fn heard(&self, answer: &Registration<'_>) -> Heard {
        let hash = |value: (Address, u16)| self.hasher.hash_one(value) as u16;
        let Registration { client, server, asked, now, .. } = *answer;
        // A client may have another port for each connection.
        let hop = Hop { client: hash((client.address, 0)), server: hash((server.address, server.port)) };
        let took = moment(now).saturating_sub(moment(asked));
        Heard { hop, at: moment(now), took: took.min(LONGEST_WAIT) }
    }

    fn find(&self, hash: u64) -> Option<u32> {
        self.index
            .find(hash, |slot| self.records.get(slot as usize).is_some_and(|record| record.hash == hash))
    }

    /// Makes room for the bindings of an address-of-record that has none.
    fn insert(&mut self, hash: u64) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| self.records.push(Record::default()));
        self.records.get_mut(slot as usize).into_iter().for_each(|record| record.hash = hash);
        self.index.insert(hash, slot);
        slot
    }

    /// Binds; tells how long a binding that is made anew had been over.
    fn bind(
        &mut self,
        (slot, hop): (u32, Hop),
        (aor, contact): (&[u8], &[u8]),
        lifetime: Duration,
        answer: &Registration<'_>,
    ) -> Option<Duration> {
        let mut made = Known {
            contact: self.hash(contact),
            expires: answer.now.after(lifetime),
            more: None,
            hop,
            confirmed: moment(answer.now) as u8,
            has_other: false,
            lapsed: false,
            listed: true,
        };
        let more = || self.are_told.then(|| Box::new(More::new(aor, contact, answer)));
        let record = self.records.get_mut(slot as usize)?;
        let Some(known) = record.find(made.contact) else {
            made.more = more();
            record.contacts.push(made);
            self.active += 1;
            self.counts.added += 1;
            return None;
        };
        if !known.lapsed && !known.ends_otherwise(made.expires) {
            (known.expires, known.listed) = (made.expires, true);
            return None;
        }
        (made.more, made.has_other) = (more(), known.has_other);
        let before = std::mem::replace(known, made);
        if !before.lapsed {
            if let (Some(more), Some(before)) = (&mut known.more, &before.more) {
                more.since = before.since;
            }
            self.counts.refreshed += 1;
            return None;
        }
        self.lapsed -= 1;
        self.active += 1;
        self.counts.added += 1;
        self.counts.returned += 1;
        Some(answer.now.since(before.expires))
    }

    /// Forgets what the answer that was read did not list, except what it says nothing of, and, when it bound nothing, what had
    /// lapsed before: whoever is reached elsewhere now has not gone away.
    fn keep_listed(&mut self, (slot, heard): (u32, &Heard), keep_lapsed: bool) {
        let Some(record) = self.records.get_mut(slot as usize) else { return };
        let are_two = record.contacts.iter().any(|known| !known.listed && known.is_beside(heard));
        record.contacts.retain(|known| {
            if std::mem::take(&mut known.listed) || known.is_beside(heard) {
                known.has_other |= are_two;
                return true;
            }
            if known.lapsed && keep_lapsed {
                return true;
            }
            if known.lapsed {
                self.lapsed -= 1;
            } else {
                self.active -= 1;
                self.counts.removed += 1;
            }
            false
        });
    }

    /// What has expired by `now` lapses.
    fn lapse(&mut self, slot: u32, now: Timestamp) {
        let Some(record) = self.records.get_mut(slot as usize) else { return };
        for known in record.contacts.iter_mut().filter(|known| !known.lapsed && known.expires <= now) {
            known.lapsed = true;
            self.active -= 1;
            self.lapsed += 1;
            self.counts.expired += 1;
        }
        if self.lapsed > MAX_LAPSED {
            self.forget_lapsed(slot);
        }
    }

    /// Forgets all that has lapsed, but what has just now.
    #[cold]
    fn forget_lapsed(&mut self, but: u32) {
        let slots = self.records.iter().map(|(_, slot)| slot).filter(|&slot| slot != but);
        for slot in slots.collect::<Vec<_>>() {
            let Some(record) = self.records.get_mut(slot as usize) else { continue };
            let before = record.contacts.len();
            record.contacts.retain(|known| !known.lapsed);
            self.lapsed -= before - record.contacts.len();
            if before > 0 {
                self.free_if_empty(slot);
            }
        }
    }

    /// Sees to it that the bindings of an address-of-record are looked at when the first expires; a record without any
    /// is given up.
    fn schedule(&mut self, slot: u32) {
        let Some(record) = self.records.get_mut(slot as usize) else { return };
        if let Some(next) = record.next_expiry() {
            self.deadlines.set(slot, record.generation, &mut record.armed, next);
        } else {
            self.free_if_empty(slot);
        }
    }

    fn free_if_empty(&mut self, slot: u32) {
        let record = self.records.get_mut(slot as usize).filter(|record| record.contacts.is_empty());
        let Some(record) = record else { return };
        let hash = record.hash;
        *record = Record { generation: record.generation.wrapping_add(1), ..Record::default() };
        self.index.remove(hash, slot);
        self.free.push(slot);
    }

    /// The table is full: the binding that would expire first goes, of those that were there when it was last looked for
    /// them. False when there is none.
    #[cold]
    fn evict(&mut self) -> bool {
        if self.evict_next() {
            return true;
        }
        let records = self.records.iter();
        let held = records.flat_map(|(record, slot)| record.contacts.iter().map(move |known| (known, slot)));
        let held = held.filter(|(known, _)| !known.lapsed).map(|(known, slot)| (known.expires, slot));
        self.next = firsts(held.collect(), NEXT_PART);
        self.evict_next()
    }

    fn evict_next(&mut self) -> bool {
        while let Some((expires, slot)) = self.next.pop_front() {
            let Some(record) = self.records.get_mut(slot as usize) else { continue };
            let is_it = |known: &Known| !known.lapsed && known.expires == expires;
            if let Some(place) = record.contacts.iter().position(is_it) {
                record.contacts.remove(place);
                self.active -= 1;
                self.counts.evicted += 1;
                self.schedule(slot);
                return true;
            }
        }
        false
    }

    /// At most `limit` bindings from a cursor on, which is 0 or what the page before gave; those that have lapsed too,
    /// and always all of an address-of-record. With the cursor of the page that follows, none when this was the last.
    #[must_use]
    pub fn page(&self, cursor: u32, limit: usize) -> (Vec<Binding>, Option<u32>) {
        let mut page = Vec::new();
        for (looks, (record, slot)) in self.records.from(cursor).enumerate() {
            let is_full = !page.is_empty() && page.len() + record.contacts.len() > limit;
            if is_full || looks >= PAGE_LOOKS {
                return (page, Some(slot));
            }
            let told = |known: &Known| Some(known.more.as_ref()?.told(known, self.ahead));
            page.extend(record.contacts.iter().filter_map(told));
        }
        (page, None)
    }
}

/// The contacts that an answer lists, each with its seconds to live.
fn contacts<'a>(answer: &Registration<'a>) -> impl Iterator<Item = (&'a [u8], u64)> {
    let Registration { head, bytes, .. } = *answer;
    let general = number(head.expires.of(bytes)).unwrap_or(USUAL);
    let others = head.rare.has(Rare::MORE_CONTACTS).then(|| values(bytes, Name::Contact));
    let only = others.is_none().then(|| head.contact.of(bytes));
    let fields = only.into_iter().chain(others.into_iter().flatten());
    let addresses = fields.flat_map(list).map(NameAddress::parse);
    let contacts = addresses.filter(|address| !address.uri.is_empty()).take(MAX_CONTACTS);
    let lifetime = |address: &NameAddress<'_>| parameter(address.parameters, b"expires").and_then(number);
    contacts.map(move |it| (it.uri, lifetime(&it).unwrap_or(general).min(LONGEST)))
}

/// URI parameters are no part of an address-of-record (RFC 3261 10.3, step 5).
fn without_parameters(uri: &[u8]) -> &[u8] {
    let at = uri.iter().rposition(|byte| *byte == b'@').unwrap_or_default();
    let end =
        uri.iter().skip(at).position(|byte| matches!(byte, b';' | b'?')).map_or(uri.len(), |end| at + end);
    uri.get(..end).unwrap_or(uri)
}

/// At most what is kept of a text, in printable form.
fn cut(bytes: &[u8]) -> Cow<'_, [u8]> {
    let bytes = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(bytes);
    }
    let text = String::from_utf8_lossy(bytes);
    Cow::Owned(text.chars().filter(|it| !it.is_control()).collect::<String>().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3261 24.1: the registrar's answer to Bob, whose contact it lists with its lifetime.
    const BOB: &str = "SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/UDP bobspc.biloxi.com:5060;branch=z9hG4bKnashds7;received=192.0.2.4\r\n\
        To: Bob <sip:bob@biloxi.com>;tag=2493k59kd\r\n\
        From: Bob <sip:bob@biloxi.com>;tag=456248\r\n\
        Call-ID: 843817637684230@998sdasdh09\r\n\
        CSeq: 1826 REGISTER\r\n\
        Contact: <sip:bob@192.0.2.4>\r\n\
        Expires: 7200\r\n\
        Content-Length: 0\r\n\r\n";

    fn learn(bindings: &mut Bindings, message: &str, seconds: u64) {
        let head = Head::parse(message.as_bytes(), true).unwrap();
        bindings.learn(&Registration {
            head: &head,
            bytes: message.as_bytes(),
            source: Endpoint::default(),
            registrar: Endpoint::default(),
            client: Endpoint::default(),
            server: Endpoint::default(),
            asked: Timestamp::new(seconds, 0),
            user_agent: b"phone\x1b[31m",
            contact: b"sip:bob@192.0.2.4",
            now: Timestamp::new(seconds, 0),
        });
    }

    fn all(bindings: &Bindings) -> Vec<Binding> {
        let mut all = Vec::new();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            let (page, next) = bindings.page(at, usize::MAX);
            all.extend(page);
            cursor = next;
        }
        all
    }

    fn at(seconds: u64) -> PacketTime {
        PacketTime::plain(Timestamp::new(seconds, 0))
    }

    fn known(bindings: &Bindings) -> Vec<(String, String, u64)> {
        let mut known: Vec<_> = all(bindings)
            .into_iter()
            .filter(|binding| !binding.lapsed)
            .map(|binding| (binding.aor, binding.contact, binding.expires.seconds()))
            .collect();
        known.sort();
        known
    }

    fn row(aor: &str, contact: &str, expires: u64) -> (String, String, u64) {
        (aor.to_owned(), contact.to_owned(), expires)
    }

    #[test]
    fn the_example_of_the_rfc_is_bound_for_two_hours() {
        let mut bindings = Bindings::new(true);
        learn(&mut bindings, BOB, 1000);
        assert_eq!(known(&bindings), [row("sip:bob@biloxi.com", "sip:bob@192.0.2.4", 8200)]);
        assert_eq!(all(&bindings)[0].user_agent, "phone[31m", "nothing that acts on a terminal");
        learn(&mut bindings, BOB, 2000);
        let binding = &all(&bindings)[0];
        assert_eq!((binding.since.seconds(), binding.refreshed.seconds()), (1000, 2000));
        bindings.expire(at(9199));
        assert_eq!(bindings.len(), 1);
        bindings.expire(at(9201));
        assert!(bindings.is_empty());
        let gone = &all(&bindings)[..];
        assert!(matches!(gone, [phone] if phone.lapsed && phone.expires.seconds() == 9200), "{gone:?}");
        learn(&mut bindings, BOB, 9300);
        let back = &all(&bindings)[..];
        assert!(matches!(back, [phone] if !phone.lapsed), "{back:?}");
        bindings.expire(at(20_000));
        learn(&mut bindings, &BOB.replace("192.0.2.4>", "192.0.2.9>"), 20_001);
        let moved = &all(&bindings)[..];
        assert!(matches!(moved, [phone] if !phone.lapsed), "reached elsewhere: {moved:?}");
    }

    /// RFC 3261 19.1.4: `sip:alice@AtLanTa.CoM` is `sip:alice@atlanta.com`, and `SIP:ALICE@AtLanTa.CoM` is another.
    #[test]
    fn the_user_s_case_matters_and_no_other() {
        let mut bindings = Bindings::new(true);
        let to = |uri: &str, contact: &str| {
            BOB.replace("sip:bob@biloxi.com", uri).replace("sip:bob@192.0.2.4", contact)
        };
        learn(&mut bindings, &to("sip:alice@atlanta.com", "sip:alice@pc33.atlanta.com"), 0);
        learn(&mut bindings, &to("SIP:alice@AtLanTa.CoM", "sip:alice@PC33.atlanta.com"), 10);
        assert_eq!((bindings.len(), bindings.counts().refreshed), (1, 1));
        learn(&mut bindings, &to("sip:ALICE@atlanta.com", "sip:alice@pc33.atlanta.com"), 20);
        learn(&mut bindings, &to("sip:atlanta.com", "sip:alice@pc33.atlanta.com"), 30);
        learn(&mut bindings, &to("sip:ATLANTA.com", "sip:alice@pc33.atlanta.com"), 40);
        assert_eq!((bindings.len(), bindings.counts().refreshed), (3, 2));
    }

    #[test]
    fn an_answer_lists_all_there_are() {
        let mut bindings = Bindings::new(true);
        let two = BOB.replace(
            "Contact: <sip:bob@192.0.2.4>",
            "m: \"Bob, the first\" <sip:bob@192.0.2.4;x=1>;expires=60, sip:bob@[2001:db8::1]:5062;expires=120\r\nContact: <sip:gone@192.0.2.9>;expires=0",
        );
        learn(&mut bindings, &two, 0);
        let wanted = [
            row("sip:bob@biloxi.com", "sip:bob@192.0.2.4;x=1", 60),
            row("sip:bob@biloxi.com", "sip:bob@[2001:db8::1]:5062", 120),
        ];
        assert_eq!(known(&bindings), wanted);
        learn(&mut bindings, &BOB.replace("Contact: <sip:bob@192.0.2.4>\r\n", ""), 1);
        assert!(bindings.is_empty(), "an answer without contacts: nothing is bound any more");
    }

    #[test]
    fn pages_go_on_where_the_last_one_ended() {
        let mut bindings = Bindings::new(true);
        for user in ["anna", "bob", "carl", "dora", "emil"] {
            learn(
                &mut bindings,
                &BOB.replace("sip:bob@biloxi.com", &format!("sip:{user}@biloxi.com;a=b")),
                0,
            );
        }
        let mut users = Vec::new();
        let mut cursor = Some(0);
        while let Some(at) = cursor {
            let (page, next) = bindings.page(at, 2);
            assert_eq!(page.len(), if next.is_some() { 2 } else { 1 });
            users.extend(page.into_iter().map(|binding| binding.aor));
            cursor = next;
        }
        users.sort();
        let wanted = ["anna", "bob", "carl", "dora", "emil"].map(|user| format!("sip:{user}@biloxi.com"));
        assert_eq!(users, wanted);
    }

    #[test]
    fn floods_are_bounded() {
        let mut bindings = Bindings::new(true);
        let many = (0..1000).map(|number| format!("<sip:{number}@192.0.2.4>")).collect::<Vec<_>>().join(",");
        learn(&mut bindings, &BOB.replace("<sip:bob@192.0.2.4>", &many), 0);
        assert_eq!(bindings.len(), MAX_CONTACTS);
        for user in 0..MAX_BINDINGS as u64 {
            let message =
                BOB.replace("To: Bob <sip:bob@biloxi.com>", &format!("To: <sip:{user}@biloxi.com>"));
            learn(&mut bindings, &message, user);
        }
        assert_eq!((bindings.len(), all(&bindings).len()), (MAX_BINDINGS, MAX_BINDINGS));
        assert_eq!(bindings.counts().evicted, MAX_CONTACTS as u64);
        let bob = bindings.hasher.hash_one(&b"sip:bob@biloxi.com"[..]);
        let is_there = bindings.find(bob).is_some();
        assert!(!is_there, "those that would have expired first");
    }

    #[test]
    fn where_nobody_asks_they_are_counted_the_same() {
        let mut both = [true, false].map(Bindings::new);
        let moved = BOB.replace("192.0.2.4>", "192.0.2.9>");
        let gone = BOB.replace("Contact: <sip:bob@192.0.2.4>\r\n", "");
        for (message, seconds) in [(BOB, 0), (BOB, 10), (&moved, 20), (&gone, 30), (BOB, 40), (BOB, 9000)] {
            for bindings in &mut both {
                bindings.expire(at(seconds));
                learn(bindings, message, seconds);
            }
        }
        let wanted = BindingCounts {
            active: 1,
            added: 4,
            refreshed: 1,
            removed: 2,
            expired: 1,
            returned: 1,
            ..BindingCounts::default()
        };
        assert_eq!(both.each_ref().map(Bindings::counts), [wanted; 2]);
        assert_eq!(both.each_ref().map(|bindings| all(bindings).len()), [1, 0]);
    }

    #[test]
    fn what_has_lapsed_is_bounded_too() {
        let mut bindings = Bindings::new(true);
        for user in 0..=MAX_LAPSED {
            learn(&mut bindings, &BOB.replace("bob@biloxi.com", &format!("{user}@biloxi.com")), 0);
        }
        bindings.expire(at(7201));
        let counts = bindings.counts();
        assert_eq!((bindings.len(), counts.expired), (0, MAX_LAPSED as u64 + 1));
        assert_eq!((bindings.lapsed, bindings.index.len()), (1, 1), "the last one is left");
        learn(&mut bindings, &BOB.replace("bob@biloxi.com", &format!("{MAX_LAPSED}@biloxi.com")), 7300);
        assert_eq!((bindings.len(), bindings.counts().returned), (1, 1));
    }
}
