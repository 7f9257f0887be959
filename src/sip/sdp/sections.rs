//! Sections of session descriptions that were read before.
//!
//! Who offers audio says the same of it in every call, but for addresses and the port. From behind the port to the end of the
//! description most are therefore, byte for byte, one that was read a moment ago: to compare it takes a tenth of the
//! instructions that it takes to read it.

use smallvec::SmallVec;

use super::{Media, Section};
use crate::flow::{Address, Endpoint};
use crate::sip::search::first_word;

/// How many are known at a time.
const KNOWN: usize = 16;

/// What is longer is not remembered, nor are candidates for ICE and sources, which differ from call to call.
const LONGEST: usize = 512;

/// The sections read lately: they cost time when they are forgotten, and change nothing.
#[derive(Debug, Default)]
pub struct Sections([Option<Known>; KNOWN]);

#[derive(Debug)]
struct Known {
    /// From behind the port of the only `m=` line to the end of the description.
    text: Vec<u8>,
    media: Media,
    section: Section,
}

impl Sections {
    /// Appends what `text` says behind an RTP section's port, if it was read before.
    #[inline]
    pub(super) fn find(&self, text: &[u8], port: u16, out: &mut Vec<Media>) -> Option<Section> {
        let known = self.0.get(place(text))?.as_ref().filter(|known| known.text == text)?;
        let endpoint = Endpoint::new(Address::default(), port);
        let formats = SmallVec::from_slice(&known.media.formats);
        out.push(Media { endpoint, formats, candidates: Vec::new(), sources: Vec::new(), ..known.media });
        Some(known.section)
    }

    /// Remembers what `text` says: `media` and `section`, not finished yet.
    pub(super) fn remember(&mut self, text: &[u8], media: &Media, section: Section) {
        if text.len() > LONGEST || !media.candidates.is_empty() || !media.sources.is_empty() {
            return;
        }
        let known = self.0.get_mut(place(text)).into_iter();
        known.for_each(|known| *known = Some(Known { text: text.to_vec(), media: media.clone(), section }));
    }
}

/// Where a text is kept. Who makes many share one place makes them be read, as they would be without this.
#[inline]
fn place(text: &[u8]) -> usize {
    let last = match text.last_chunk() {
        Some(&last) => u64::from_le_bytes(last),
        None => 0,
    };
    let all = first_word(text) ^ last.rotate_left(24) ^ text.len() as u64;
    (all.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % KNOWN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sip::sdp::parse_description;

    fn read(description: &str, known: &mut Sections) -> Vec<Media> {
        let mut out = Vec::new();
        parse_description(description.as_bytes(), known, &mut out);
        out
    }

    /// RFC 4566 5: a session of one address and direction, then sections.
    fn description() -> impl Strategy<Value = String> {
        let session = prop::sample::select(vec![
            "c=IN IP4 192.0.2.1\r\n",
            "c=IN IP4 192.0.2.2\r\na=sendonly\r\n",
            "c=IN IP6 2001:db8::1\r\n",
            "",
        ]);
        let begin = prop::sample::select(vec![
            "m=audio 4000",
            "m=audio 4002",
            "m=audio 0",
            "m=video 4004",
            "m=audio x",
        ]);
        let behind = prop::sample::select(vec![
            " RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n",
            " RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=recvonly\r\n",
            " RTP/AVP 0\r\na=rtcp:4100 IN IP4 192.0.2.9\r\n",
            " RTP/AVP 0\r\nc=IN IP4 192.0.2.7\r\na=rtcp-mux\r\n",
            " RTP/AVP 0\n",
            " RTP/AVP",
            " RTP/SAVP 0\r\n",
            "/2 RTP/AVP 0\r\n",
        ]);
        (session, prop::collection::vec((begin, behind), 0..3)).prop_map(|(session, sections)| {
            let sections: Vec<String> =
                sections.iter().map(|(begin, behind)| format!("{begin}{behind}")).collect();
            format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n{session}t=0 0\r\n{}", sections.concat())
        })
    }

    proptest! {
        #[test]
        fn what_is_known_is_what_would_be_read(descriptions in prop::collection::vec(description(), 1..40)) {
            let mut known = Sections::default();
            for description in descriptions {
                prop_assert_eq!(read(&description, &mut known), read(&description, &mut Sections::default()));
            }
        }
    }

    #[test]
    fn what_differs_elsewhere_is_known() {
        let mut known = Sections::default();
        read("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\r\n", &mut known);
        let text = b" 0\r\na=ptime:20\r\n";
        assert!(known.find(text, 1, &mut Vec::new()).is_some());
        assert!(known.find(&text[..text.len() - 1], 1, &mut Vec::new()).is_none());
        let long = format!("v=0\r\nm=audio 4000 RTP/AVP 0\r\na=x:{}\r\n", "y".repeat(LONGEST));
        assert_eq!(read(&long, &mut known).len(), 1);
        assert_eq!(known.0.iter().flatten().count(), 1, "it is not remembered");
    }
}
