//! Lists of formats: most calls of a network announce one of a few, and share it here.

use std::sync::Arc;

use crate::sip::sdp::Format;

/// RTP has 128 payload types; an attacker may name others in every offer.
const MAX_FORMATS: usize = 128;

/// Lists that are looked for before one is made anew.
const LATEST: usize = 8;

/// The formats of an endpoint, in the order of their announcement. Of a payload type, the latest meaning counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Formats(Option<Arc<[Format]>>);

impl Formats {
    /// All of them.
    pub(super) fn as_slice(&self) -> &[Format] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Forgets them.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    /// Adds what was announced.
    pub(super) fn add(&mut self, announced: &[Format], lists: &mut Lists) {
        if announced.is_empty() || self.as_slice() == announced {
            return;
        }
        let mut all = self.as_slice().to_vec();
        for format in announced {
            if let Some(known) = all.iter_mut().find(|known| known.payload_type == format.payload_type) {
                *known = *format;
            } else if all.len() < MAX_FORMATS {
                all.push(*format);
            }
        }
        self.0 = Some(lists.share(&all));
    }

    /// As [`Self::add`], where there are none yet.
    pub(super) fn set(&mut self, announced: &[Format], lists: &mut Lists) {
        self.0 = lists.known(announced);
        self.add(announced, lists);
    }
}

/// The latest lists.
#[derive(Debug, Default)]
pub(super) struct Lists {
    latest: [Option<Arc<[Format]>>; LATEST],
    next: usize,
}

impl Lists {
    fn known(&self, formats: &[Format]) -> Option<Arc<[Format]>> {
        self.latest.iter().flatten().find(|known| ***known == *formats).cloned()
    }

    fn share(&mut self, formats: &[Format]) -> Arc<[Format]> {
        self.known(formats).unwrap_or_else(|| {
            let list: Arc<[Format]> = formats.into();
            if let Some(place) = self.latest.get_mut(self.next) {
                *place = Some(Arc::clone(&list));
            }
            self.next = (self.next + 1) % LATEST;
            list
        })
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
        one.add(&offer, &mut lists);
        other.set(&offer, &mut lists);
        assert_eq!(one.as_slice(), offer);
        assert!(Arc::ptr_eq(one.0.as_ref().unwrap(), other.0.as_ref().unwrap()));
        one.clear();
        assert!(one.as_slice().is_empty());
    }

    #[test]
    fn the_latest_meaning_counts_and_there_is_an_end() {
        let mut lists = Lists::default();
        let mut formats = Formats::default();
        formats.add(&[format(96, b"opus"), format(0, b"PCMU")], &mut lists);
        formats.add(&[format(96, b"iLBC"), format(8, b"PCMA")], &mut lists);
        assert_eq!(formats.as_slice(), [format(96, b"iLBC"), format(0, b"PCMU"), format(8, b"PCMA")]);
        formats.set(&[format(9, b"a"), format(9, b"b")], &mut lists);
        assert_eq!(formats.as_slice(), [format(9, b"b")], "of two meanings in one list too");
        let many: Vec<Format> = (0..=u8::MAX).map(|number| format(number, b"x")).collect();
        formats.add(&many, &mut lists);
        assert_eq!(formats.as_slice().len(), MAX_FORMATS);
        assert_eq!(lists.latest.iter().flatten().count(), 4);
    }
}
