//! Sections that share one transport (RFC 9143, BUNDLE).

use smallvec::SmallVec;

use super::ice::{Candidate, MAX_CANDIDATES};
use super::{MAX_MEDIA, Media, Words};

/// What the lines of a description say of BUNDLE.
#[derive(Debug, Default)]
pub(super) struct Bundle<'a> {
    /// The identification tags of the first group. A description may have several (RFC 9143 5); those seen have one.
    group: Option<&'a [u8]>,
    /// Tags of sections, their places, and whether a section is `bundle-only`.
    sections: SmallVec<[(&'a [u8], usize, bool); 4]>,
}

impl<'a> Bundle<'a> {
    /// Takes `a=group:BUNDLE <tag>…` of the session (RFC 9143 5, RFC 5888 5).
    pub(super) fn take_group(&mut self, line: &'a [u8]) {
        if self.group.is_none() {
            self.group = line.strip_prefix(b"a=group:BUNDLE ");
        }
    }

    /// Takes `a=mid:<tag>` (RFC 5888 4) or `a=bundle-only` (RFC 9143 6) of the section at this place.
    pub(super) fn take(&mut self, line: &'a [u8], place: usize) {
        if self.group.is_none() {
            return;
        }
        let mut known = self.sections.iter_mut().filter(|(_, at, _)| *at == place);
        match (known.next(), line.strip_prefix(b"a=mid:")) {
            (Some((tag, ..)), Some(mid)) => *tag = mid,
            (None, Some(mid)) => self.sections.push((mid, place, false)),
            (Some((.., is_only)), None) => *is_only |= line == b"a=bundle-only",
            (None, None) => self.sections.push((b"", place, line == b"a=bundle-only")),
        }
    }

    /// Completes the sections of a group. Who bundles receives all of them where the first of the group is, and at its candidates
    /// (RFC 9143 7.2, 10); an answer that does not bundle leaves each its own place. A `bundle-only` section with port 0 is
    /// not refused (6); any other is, and its media does not flow (RFC 3264 6).
    pub(super) fn share(self, out: &mut [Media]) {
        let Some(group) = self.group else { return };
        let find = |tag: &[u8]| self.sections.iter().find(|(known, ..)| *known == tag);
        let members = Words(group).take(MAX_MEDIA).filter_map(find);
        let members: SmallVec<[(usize, bool); 4]> = members.map(|&(_, at, is_only)| (at, is_only)).collect();
        let is_up = |at: usize| out.get(at).is_some_and(|media| media.endpoint.port != 0);
        let Some(first) = members.iter().map(|&(at, _)| at).find(|&at| is_up(at)) else { return };
        let Some(tagged) = out.get(first).cloned() else { return };
        for (at, is_only) in members.into_iter().filter(|&(at, _)| at != first) {
            if let Some(media) = out.get_mut(at).filter(|media| media.endpoint.port != 0 || is_only) {
                join(&tagged, media);
            }
        }
    }
}

/// The media of a section flows where that of the `tagged` one does.
fn join(tagged: &Media, media: &mut Media) {
    if media.endpoint.port == 0 {
        (media.endpoint, media.rtcp, media.rtcp_mux) = (tagged.endpoint, tagged.rtcp, tagged.rtcp_mux);
    }
    let there = Candidate { endpoint: tagged.endpoint, is_rtcp: false, is_remote: false };
    let has_place = tagged.endpoint.port != 0 && !tagged.endpoint.address.is_unspecified();
    let there = Some(there).filter(|there| has_place && media.endpoint != there.endpoint);
    media.tagged = tagged.mid;
    // A group that names one section many times adds no more than this.
    let room = (2 * MAX_CANDIDATES).saturating_sub(media.candidates.len());
    media.candidates.extend(there.into_iter().chain(tagged.candidates.iter().copied()).take(room));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sip::sdp::tests::media;
    use crate::sip::sdp::{Sections, parse_description};

    /// Of each section its endpoint and its candidates.
    fn places(description: &str) -> Vec<(String, Vec<String>)> {
        let candidates = |media: &Media| media.candidates.iter().map(|it| it.endpoint.to_string()).collect();
        media(description).iter().map(|media| (media.endpoint.to_string(), candidates(media))).collect()
    }

    const AT: &str = "[2001:db8::3]:10000";

    /// The offer of RFC 9143 18.1 with these ports; what the video has beside.
    fn offer(audio: u16, video: u16, more: &str) -> String {
        format!(
            "v=0\r\no=alice 2890844526 2890844526 IN IP6 2001:db8::3\r\ns=\r\nc=IN IP6 2001:db8::3\r\nt=0 0\r\n\
             a=group:BUNDLE foo bar\r\nm=audio {audio} RTP/AVP 0 8 97\r\nb=AS:200\r\na=mid:foo\r\na=rtcp-mux\r\n\
             a=rtpmap:97 iLBC/8000\r\nm=video {video} RTP/AVP 31 32\r\nb=AS:1000\r\na=mid:bar\r\na=rtcp-mux\r\n{more}"
        )
    }

    #[test]
    fn what_is_bundled_may_come_where_the_first_section_is() {
        let (audio, video) = (AT.to_owned(), "[2001:db8::3]:10002".to_owned());
        assert_eq!(
            places(&offer(10_000, 10_002, "")),
            [(audio.clone(), vec![]), (video, vec![audio.clone()])]
        );
        assert_eq!(places(&offer(10_000, 10_000, "")), [(audio.clone(), vec![]), (audio, vec![])]);
    }

    /// RFC 9143 6: port 0 with `bundle-only` is not refused, and port 0 alone is.
    #[test]
    fn port_0_is_refused_unless_it_is_bundle_only() {
        assert_eq!(places(&offer(10_000, 0, "a=bundle-only\r\n"))[1], (AT.to_owned(), vec![]));
        assert_eq!(places(&offer(10_000, 0, ""))[1].0, "[2001:db8::3]:0");
        let nobody = places(&offer(0, 0, "a=bundle-only\r\n"));
        assert_eq!(nobody[1].0, "[2001:db8::3]:0", "there is no first section");
        let apart = offer(10_000, 0, "a=bundle-only\r\n").replace("BUNDLE foo bar", "LS foo bar");
        assert_eq!(places(&apart)[1].0, "[2001:db8::3]:0", "no BUNDLE group");
    }

    /// RFC 9143 10: candidates are those of the first section alone.
    #[test]
    fn candidates_are_those_of_the_first() {
        let line = "a=rtcp-mux\r\na=candidate:1 1 UDP 1 192.0.2.9 9000 typ host\r\n";
        let description = offer(10_000, 0, "a=bundle-only\r\n").replacen("a=rtcp-mux\r\n", line, 1);
        assert_eq!(places(&description)[1], (AT.to_owned(), vec!["192.0.2.9:9000".to_owned()]));
    }

    #[test]
    fn is_bounded() {
        let lines: String = (0..40)
            .map(|port| format!("a=candidate:1 1 UDP 1 192.0.2.9 {} typ host\r\n", 9000 + port))
            .collect();
        let group = format!("BUNDLE foo{}", " bar".repeat(1000));
        let description = offer(10_000, 10_002, &lines)
            .replacen("a=rtcp-mux\r\n", &format!("a=rtcp-mux\r\n{lines}"), 1)
            .replace("BUNDLE foo bar", &group);
        assert_eq!(places(&description)[1].1.len(), 2 * MAX_CANDIDATES);
    }

    /// A line of a description with candidates and groups, cut anywhere.
    fn line() -> impl Strategy<Value = String> {
        let lines = vec![
            "a=group:BUNDLE a a b",
            "m=audio 4 RTP/AVP 0",
            "m=video 0 RTP/AVP 31",
            "m=application 9 UDP/DTLS/SCTP x",
            "c=IN IP4 192.0.2.1",
            "a=mid:a",
            "a=mid:b",
            "a=bundle-only",
            "a=candidate:1 1 UDP 1 192.0.2.9 9 typ host",
            "a=remote-candidates:1 2001:db8::1 9 2 192.0.2.1 10",
        ];
        let whole = prop::sample::select(lines).prop_map(str::to_owned);
        (whole, prop_oneof![9 => Just(99), 1 => 0usize..40])
            .prop_map(|(line, cut)| line.get(..cut).map_or(line.clone(), str::to_owned))
    }

    proptest! {
        #[test]
        fn any_lines_in_any_order_are_survived(lines in prop::collection::vec(line(), 0..80)) {
            let mut out = Vec::new();
            parse_description(lines.join("\r\n").as_bytes(), &mut Sections::default(), &mut out);
            prop_assert!(out.len() <= MAX_MEDIA);
            prop_assert!(out.iter().all(|media| media.candidates.len() <= 2 * MAX_CANDIDATES));
        }
    }
}
