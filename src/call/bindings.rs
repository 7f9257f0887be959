//! Who is registered where, as registrars said it (RFC 3261 10.3).
//!
//! In: 2xx answers to REGISTER; they list every binding of an address-of-record. Out: bindings that have not
//! expired. Bounded in number and in the length of their texts; at the cap the one that would expire first goes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher as _;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use serde::Serialize;
use smallvec::SmallVec;

use super::record::{display, rfc3339};
use super::report::text;
use crate::flow::Endpoint;
use crate::sip::Head;
use crate::sip::header::{Name, NameAddress, list, number, parameter, values};
use crate::time::Timestamp;

/// Bindings known at once: about 700 bytes each at most, 70 MiB when full. Attack: registrations of random users.
const MAX_BINDINGS: usize = 100_000;

/// Bindings that are over and may come back. At the cap all are forgotten: those that come back then count as new.
const MAX_LAPSED: usize = 16_384;

/// Contacts of one answer. Attack: a message of 1 MiB that consists of them.
const MAX_CONTACTS: usize = 64;

/// Bytes kept of an address-of-record, a contact or a user agent.
const MAX_TEXT: usize = 256;

/// RFC 3261 10.2.1.1: what a registrar takes when nobody says how long.
const USUAL: u64 = 3600;

/// Nobody registers for longer than a month; larger values are lies or mistakes.
const LONGEST: u64 = 31 * 24 * 3600;

/// Address-of-record and contact. Shared by all indices.
///
/// Ordered by a hash of the former first: a search then compares numbers that lie side by side, and not texts that lie
/// anywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    hash: u64,
    aor: Arc<[u8]>,
    contact: Arc<[u8]>,
}

impl Key {
    /// All keys of its address-of-record; it is the least of them.
    fn all_in(&self, table: &BTreeMap<Self, Known>) -> SmallVec<[Self; 2]> {
        let keys = table.range(self.clone()..).map(|(key, _)| key);
        keys.take_while(|key| key.hash == self.hash && key.aor == self.aor).cloned().collect()
    }
}

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

#[derive(Clone, Debug)]
struct Known {
    expires: Timestamp,
    since: Timestamp,
    refreshed: Timestamp,
    source: Endpoint,
    registrar: Endpoint,
    user_agent: Box<[u8]>,
}

/// What an answer comes with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration<'a> {
    pub(super) head: &'a Head,
    pub(super) bytes: &'a [u8],
    pub(super) source: Endpoint,
    pub(super) registrar: Endpoint,
    pub(super) user_agent: &'a [u8],
    pub(super) now: Timestamp,
}

/// What became of bindings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BindingCounts {
    /// Those that hold.
    pub active: u64,
    /// Made.
    pub added: u64,
    /// Confirmed in time.
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
    /// How long one that is made anew had been over.
    pub(super) late: Option<Duration>,
}

/// All bindings known.
#[derive(Debug, Default)]
pub struct Bindings {
    table: BTreeMap<Key, Known>,
    due: BTreeSet<(Timestamp, Key)>,
    /// Bindings that ended without being confirmed anew.
    lapsed: BTreeMap<Key, Known>,
    counts: BindingCounts,
    /// With a secret of this process: nobody outside can make the hashes of two addresses the same.
    hasher: RandomState,
}

impl Bindings {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What became of all there were.
    #[must_use]
    pub fn counts(&self) -> BindingCounts {
        BindingCounts { active: self.len() as u64, ..self.counts }
    }

    /// Takes a 2xx answer to a REGISTER: what it lists is bound, and nothing else of its address-of-record.
    pub(super) fn learn(&mut self, answer: &Registration<'_>) -> Learned {
        let mut learned = Learned::default();
        let aor = cut(without_parameters(answer.head.to_uri.of(answer.bytes)));
        if aor.is_empty() {
            return learned;
        }
        let first = self.key(&aor, &[]);
        let mut gone = first.all_in(&self.table);
        for (contact, lifetime) in contacts(answer) {
            if lifetime > 0 {
                let key = Key { contact: Arc::from(&*cut(contact)), ..first.clone() };
                gone.retain(|other| other.contact != key.contact);
                learned.longest = learned.longest.max(Duration::from_secs(lifetime));
                learned.late = learned.late.max(self.bind(key, lifetime, answer));
            }
        }
        for key in gone {
            self.counts.removed += 1;
            self.unbind(&key);
        }
        // Whoever is reached elsewhere now has not gone away.
        if !self.lapsed.is_empty() && !learned.longest.is_zero() {
            first.all_in(&self.lapsed).iter().for_each(|key| {
                self.lapsed.remove(key);
            });
        }
        learned
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            let over = self.due.pop_first().and_then(|(_, key)| self.table.remove_entry(&key));
            let Some((key, known)) = over else { continue };
            self.counts.expired += 1;
            if self.lapsed.len() >= MAX_LAPSED {
                self.lapsed.clear();
            }
            self.lapsed.insert(key, known);
        }
    }

    /// Binds; tells how long a binding that is made anew had been over.
    fn bind(&mut self, key: Key, lifetime: u64, answer: &Registration<'_>) -> Option<Duration> {
        let expires = answer.now.after(Duration::from_secs(lifetime));
        let mut known = Known {
            expires,
            since: answer.now,
            refreshed: answer.now,
            source: answer.source,
            registrar: answer.registrar,
            user_agent: (&*cut(answer.user_agent)).into(),
        };
        self.due.insert((expires, key.clone()));
        if let Some(before) = self.table.get_mut(&key) {
            known.since = before.since;
            let before = std::mem::replace(before, known);
            if before.expires != expires {
                self.due.remove(&(before.expires, key));
            }
            self.counts.refreshed += 1;
            return None;
        }
        self.counts.added += 1;
        // Most have never been over; a search for nothing costs as much as one for something.
        let lapsed = if self.lapsed.is_empty() { None } else { self.lapsed.remove(&key) };
        self.counts.returned += u64::from(lapsed.is_some());
        self.table.insert(key, known);
        if self.table.len() > MAX_BINDINGS
            && let Some((_, first)) = self.due.first().cloned()
        {
            self.counts.evicted += 1;
            self.unbind(&first);
        }
        lapsed.map(|known| answer.now.since(known.expires))
    }

    fn key(&self, aor: &[u8], contact: &[u8]) -> Key {
        Key { hash: self.hasher.hash_one(aor), aor: aor.into(), contact: contact.into() }
    }

    fn unbind(&mut self, key: &Key) {
        if let Some(known) = self.table.remove(key) {
            self.due.remove(&(known.expires, key.clone()));
        }
    }

    /// At most `limit` bindings behind `after` (address-of-record and contact), in an order of their own that stays; those
    /// that have lapsed too.
    #[must_use]
    pub fn page(&self, after: Option<(&str, &str)>, limit: usize) -> Vec<Binding> {
        let start = match after {
            Some((aor, contact)) => Bound::Excluded(self.key(aor.as_bytes(), contact.as_bytes())),
            None => Bound::Unbounded,
        };
        let from = |table| BTreeMap::range(table, (start.clone(), Bound::Unbounded)).take(limit);
        let held = from(&self.table).map(|(key, known)| (key, known, false));
        let mut page: Vec<_> =
            held.chain(from(&self.lapsed).map(|(key, known)| (key, known, true))).collect();
        page.sort_unstable_by_key(|(key, ..)| *key);
        page.truncate(limit);
        page.into_iter().map(|(key, known, lapsed)| told(key, known, lapsed)).collect()
    }
}

fn told(key: &Key, known: &Known, lapsed: bool) -> Binding {
    Binding {
        aor: text(&key.aor),
        contact: text(&key.contact),
        expires: known.expires,
        since: known.since,
        refreshed: known.refreshed,
        source: known.source,
        registrar: known.registrar,
        user_agent: text(&known.user_agent),
        lapsed,
    }
}

/// The contacts that an answer lists, each with its seconds to live.
fn contacts<'a>(answer: &Registration<'a>) -> Vec<(&'a [u8], u64)> {
    let head = answer.head;
    let general = number(head.expires.of(answer.bytes)).unwrap_or(USUAL);
    let addresses = values(answer.bytes, Name::Contact).flat_map(list).map(NameAddress::parse);
    let contacts = addresses.filter(|address| !address.uri.is_empty()).take(MAX_CONTACTS);
    let lifetime = |address: &NameAddress<'_>| parameter(address.parameters, b"expires").and_then(number);
    contacts.map(|it| (it.uri, lifetime(&it).unwrap_or(general).min(LONGEST))).collect()
}

/// URI parameters are no part of an address-of-record (RFC 3261 10.3, step 5).
fn without_parameters(uri: &[u8]) -> &[u8] {
    let at = uri.iter().rposition(|byte| *byte == b'@').unwrap_or_default();
    let end =
        uri.iter().skip(at).position(|byte| matches!(byte, b';' | b'?')).map_or(uri.len(), |end| at + end);
    uri.get(..end).unwrap_or(uri)
}

/// At most what is kept of a text, in printable form: keys come back from askers, as text.
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
            user_agent: b"phone\x1b[31m",
            now: Timestamp::new(seconds, 0),
        });
    }

    fn known(bindings: &Bindings) -> Vec<(String, String, u64)> {
        let page = bindings.page(None, usize::MAX).into_iter();
        let mut known: Vec<_> = page
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
        let mut bindings = Bindings::default();
        learn(&mut bindings, BOB, 1000);
        assert_eq!(known(&bindings), [row("sip:bob@biloxi.com", "sip:bob@192.0.2.4", 8200)]);
        assert_eq!(bindings.page(None, 1)[0].user_agent, "phone[31m", "nothing that acts on a terminal");
        learn(&mut bindings, BOB, 2000);
        let binding = &bindings.page(None, 9)[0];
        assert_eq!((binding.since.seconds(), binding.refreshed.seconds()), (1000, 2000));
        bindings.expire(Timestamp::new(9199, 0));
        assert_eq!(bindings.len(), 1);
        bindings.expire(Timestamp::new(9200, 0));
        assert!(bindings.is_empty() && bindings.due.is_empty());
        let gone = &bindings.page(None, 9)[..];
        assert!(matches!(gone, [phone] if phone.lapsed && phone.expires.seconds() == 9200), "{gone:?}");
        learn(&mut bindings, BOB, 9300);
        let back = &bindings.page(None, 9)[..];
        assert!(matches!(back, [phone] if !phone.lapsed), "{back:?}");
        bindings.expire(Timestamp::new(20_000, 0));
        learn(&mut bindings, &BOB.replace("192.0.2.4>", "192.0.2.9>"), 20_001);
        let moved = &bindings.page(None, 9)[..];
        assert!(matches!(moved, [phone] if !phone.lapsed), "reached elsewhere: {moved:?}");
    }

    #[test]
    fn an_answer_lists_all_there_are() {
        let mut bindings = Bindings::default();
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
        let mut bindings = Bindings::default();
        for user in ["anna", "bob", "carl", "dora", "emil"] {
            learn(
                &mut bindings,
                &BOB.replace("sip:bob@biloxi.com", &format!("sip:{user}@biloxi.com;a=b")),
                0,
            );
        }
        let mut users = Vec::new();
        let mut after: Option<Binding> = None;
        loop {
            let page =
                bindings.page(after.as_ref().map(|last| (last.aor.as_str(), last.contact.as_str())), 2);
            users.extend(page.iter().map(|binding| binding.aor.clone()));
            after = page.last().cloned();
            if after.is_none() {
                break;
            }
        }
        users.sort();
        let wanted = ["anna", "bob", "carl", "dora", "emil"].map(|user| format!("sip:{user}@biloxi.com"));
        assert_eq!(users, wanted);
    }

    #[test]
    fn floods_are_bounded() {
        let mut bindings = Bindings::default();
        let many = (0..1000).map(|number| format!("<sip:{number}@192.0.2.4>")).collect::<Vec<_>>().join(",");
        learn(&mut bindings, &BOB.replace("<sip:bob@192.0.2.4>", &many), 0);
        assert_eq!(bindings.len(), MAX_CONTACTS);
        for user in 0..MAX_BINDINGS as u64 {
            let message =
                BOB.replace("To: Bob <sip:bob@biloxi.com>", &format!("To: <sip:{user}@biloxi.com>"));
            learn(&mut bindings, &message, user);
        }
        assert_eq!((bindings.len(), bindings.due.len()), (MAX_BINDINGS, MAX_BINDINGS));
        assert_eq!(bindings.counts().evicted, MAX_CONTACTS as u64, "those that would have expired first");
    }
}
