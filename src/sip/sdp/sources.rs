//! Sources of RTP that a section names (RFC 5576).

use super::{Media, Words, number_of};

/// Sources read of one section. Simulcast with repair streams has a dozen; who lists thousands gets no more.
pub(super) const MAX_SOURCES: usize = 16;

/// Reads `<ssrc-id> <attribute>[:<value>]`, what follows `a=ssrc:` (RFC 5576 4.1). A source has a line for each attribute.
pub(super) fn source(value: &[u8], media: &mut Media) {
    let Some(ssrc) = Words(value).next().and_then(number_of::<u32>) else { return };
    if media.sources.len() < MAX_SOURCES && !media.sources.contains(&ssrc) {
        media.sources.push(ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::sdp::tests::media;
    use crate::sip::sdp::{Sections, parse_description};

    /// Sources of a section with these lines.
    fn sources(lines: &str) -> Vec<u32> {
        let text = format!("v=0\r\nc=IN IP4 192.0.2.3\r\nm=video 49170 RTP/AVP 96\r\n{lines}");
        media(&text)[0].sources.clone()
    }

    /// The examples of RFC 5576 10.
    #[test]
    fn the_examples_of_the_rfc() {
        let lines = "a=rtpmap:96 H264/90000\r\na=ssrc:12345 cname:another-user@example.com\r\n\
                     a=ssrc:67890 cname:another-user@example.com\r\n";
        assert_eq!(sources(lines), [12_345, 67_890]);
        let lines =
            "a=ssrc-group:FEC 11111 22222\r\na=ssrc:1 cname:user@example.com\r\na=ssrc:1 bitrate:10\r\n";
        assert_eq!(sources(lines), [1], "a group is no source, and a source has several lines");
    }

    #[test]
    fn what_is_no_source_is_passed_over() {
        for line in
            ["a=ssrc:", "a=ssrc: cname:x", "a=ssrc:4294967296 cname:x", "a=ssrc:-1 cname:x", "a=ssrc:1x y"]
        {
            assert!(sources(&format!("{line}\r\n")).is_empty(), "{line}");
        }
        assert_eq!(sources("a=ssrc:4294967295 cname:x\r\na=ssrc:0\r\n"), [u32::MAX, 0]);
    }

    #[test]
    fn is_bounded() {
        let lines: String = (0..1000).map(|ssrc| format!("a=ssrc:{ssrc} cname:x\r\n")).collect();
        assert_eq!(sources(&lines).len(), MAX_SOURCES);
    }

    /// What is known of sections read before has no sources: they differ from call to call.
    #[test]
    fn sources_are_read_each_time() {
        let mut known = Sections::default();
        let text = "v=0\r\nc=IN IP4 192.0.2.3\r\nm=audio 4 RTP/AVP 0\r\na=ssrc:5 cname:x\r\n";
        for _ in 0..2 {
            let mut out = Vec::new();
            parse_description(text.as_bytes(), &mut known, &mut out);
            assert_eq!(out[0].sources, [5]);
        }
    }
}
