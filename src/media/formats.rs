//! Lists of formats: most calls of a network announce one of a few, and share it here.
//!
//! A list is counted by those who have it, and forgotten with the last. Not by an [`Arc`](std::sync::Arc): one thread
//! has them all, and what makes a count safe for several waits for every cache miss on its way.

use crate::sip::sdp::Format;

/// RTP has 128 payload types; an attacker may name others in every offer.
const MAX_FORMATS: usize = 128;

/// Lists that are looked for before one is made anew.
const LATEST: usize = 8;

/// The formats of an endpoint, in the order of their announcement: which of [`Lists`], counted from 1; 0 is none. Of a
/// payload type, the latest meaning counts.
#[derive(Debug, Default)]
pub(super) struct Formats(u32);

/// One list, and how many have it.
#[derive(Debug, Default)]
struct List {
    formats: Vec<Format>,
    users: u32,
}

/// All lists.
#[derive(Debug, Default)]
pub(super) struct Lists {
    lists: Vec<List>,
    free: Vec<u32>,
    latest: [Formats; LATEST],
    next: usize,
}

impl Lists {
    /// The formats of a list.
    pub(super) fn of(&self, formats: &Formats) -> &[Format] {
        let list = self.lists.get(formats.0.wrapping_sub(1) as usize);
        list.map(|list| list.formats.as_slice()).unwrap_or_default()
    }

    /// Adds what was announced to those of an endpoint.
    pub(super) fn add(&mut self, formats: &mut Formats, announced: &[Format]) {
        if announced.is_empty() || self.of(formats) == announced {
            return;
        }
        if formats.0 == 0
            && let Some(known) = self.known(announced)
        {
            *formats = known;
            return;
        }
        let mut all = self.of(formats).to_vec();
        for format in announced {
            if let Some(known) = all.iter_mut().find(|known| known.payload_type == format.payload_type) {
                *known = *format;
            } else if all.len() < MAX_FORMATS {
                all.push(*format);
            }
        }
        self.release(formats);
        *formats = self.known(&all).unwrap_or_else(|| self.insert(all));
    }

    /// An endpoint has none any more.
    pub(super) fn release(&mut self, formats: &mut Formats) {
        let number = std::mem::take(formats).0;
        let Some(list) = self.lists.get_mut(number.wrapping_sub(1) as usize) else { return };
        list.users = list.users.saturating_sub(1);
        if list.users == 0 {
            list.formats = Vec::new();
            self.free.push(number);
        }
    }

    /// One of the latest, for one more.
    fn known(&mut self, formats: &[Format]) -> Option<Formats> {
        let number = self.latest.iter().find(|latest| self.of(latest) == formats)?.0;
        self.lists.get_mut(number.wrapping_sub(1) as usize)?.users += 1;
        Some(Formats(number))
    }

    /// A list that is none of the latest, for one who wants it and as the latest.
    fn insert(&mut self, formats: Vec<Format>) -> Formats {
        let number = self.free.pop().unwrap_or_else(|| {
            self.lists.push(List::default());
            self.lists.len() as u32
        });
        if let Some(list) = self.lists.get_mut(number.wrapping_sub(1) as usize) {
            *list = List { formats, users: 2 };
        }
        let oldest = self.latest.get_mut(self.next).map(|place| std::mem::replace(place, Formats(number)));
        oldest.into_iter().for_each(|mut oldest| self.release(&mut oldest));
        self.next = (self.next + 1) % LATEST;
        Formats(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::sdp::CodecName;

    fn format(payload_type: u8, name: &[u8]) -> Format {
        Format { payload_type, clock: 8000, name: CodecName::new(name) }
    }

    #[test]
    fn those_who_say_the_same_share_a_list() {
        let mut lists = Lists::default();
        let offer = [format(0, b"PCMU"), format(8, b"PCMA")];
        let [mut one, mut other] = [Formats::default(), Formats::default()];
        assert!(lists.of(&one).is_empty());
        lists.add(&mut one, &offer);
        lists.add(&mut other, &offer);
        lists.add(&mut other, &[]);
        assert_eq!((one.0, lists.of(&other)), (other.0, offer.as_slice()));
        lists.release(&mut one);
        assert!(lists.of(&one).is_empty());
        assert_eq!(lists.of(&other), offer);
    }

    #[test]
    fn the_latest_meaning_counts_and_there_is_an_end() {
        let mut lists = Lists::default();
        let mut formats = Formats::default();
        lists.add(&mut formats, &[format(96, b"opus"), format(0, b"PCMU")]);
        lists.add(&mut formats, &[format(96, b"iLBC"), format(8, b"PCMA")]);
        assert_eq!(lists.of(&formats), [format(96, b"iLBC"), format(0, b"PCMU"), format(8, b"PCMA")]);
        lists.release(&mut formats);
        lists.add(&mut formats, &[format(9, b"a"), format(9, b"b")]);
        assert_eq!(lists.of(&formats), [format(9, b"b")], "of two meanings in one list too");
        let many: Vec<Format> = (0..=u8::MAX).map(|number| format(number, b"x")).collect();
        lists.add(&mut formats, &many);
        assert_eq!(lists.of(&formats).len(), MAX_FORMATS);
    }

    #[test]
    fn what_nobody_has_is_forgotten() {
        let mut lists = Lists::default();
        let mut held: Vec<Formats> = Vec::new();
        for round in 0..50_u8 {
            for number in 0..100 {
                let mut formats = Formats::default();
                lists.add(&mut formats, &[format(number, &[b'a' + round % 20])]);
                assert_eq!(lists.of(&formats)[0].payload_type, number);
                held.push(formats);
            }
            assert!(held.iter().all(|formats| lists.of(formats).len() == 1));
            held.drain(..).for_each(|mut formats| lists.release(&mut formats));
        }
        assert!(lists.lists.len() <= 100 + 2 * LATEST, "{}", lists.lists.len());
        let used = lists.lists.iter().filter(|list| list.users > 0).count();
        assert_eq!((used, lists.free.len()), (LATEST, lists.lists.len() - LATEST));
    }
}
