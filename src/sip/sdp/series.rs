//! Sections whose media flows at several ports, or in several multicast groups, one after the other (RFC 8866 5.7, 5.14).

use super::ice::{Candidate, MAX_CANDIDATES};
use super::{Media, Words, number};
use crate::flow::{Address, Endpoint};

/// How many multicast groups begin with the address of a connection: what is behind its scope in IPv4, and behind the address in
/// IPv6, which has none.
pub(super) fn groups(connection: &[u8], address: Address) -> u8 {
    if !address.ip().is_multicast() {
        return 1;
    }
    let text = Words(connection).nth(2).unwrap_or_default();
    let place = if address.is_v4() { 2 } else { 1 };
    count(text.split(|byte| *byte == b'/').nth(place))
}

/// How many pairs of ports, for RTP and RTCP, begin with a port; `behind` is what follows that: nothing, or `/<number>`.
pub(super) fn pairs(behind: &[u8]) -> u8 {
    count(behind.strip_prefix(b"/"))
}

/// Attack: a count of thousands, to fill the table of endpoints.
fn count(text: Option<&[u8]>) -> u8 {
    let count = text.and_then(number).unwrap_or(1).clamp(1, MAX_CANDIDATES as u64);
    u8::try_from(count).unwrap_or(1)
}

/// Adds the other places of a section: its next ports in steps of 2, in its first group and in those behind it.
pub(super) fn add(media: &mut Media, groups: u8, pairs: u8) {
    let first = media.endpoint;
    let group = |number: u8| {
        let next = u128::from_be_bytes(first.address.bytes()).wrapping_add(number.into());
        Address::v6(next.to_be_bytes())
    };
    let ports = (0..u16::from(pairs)).filter_map(|pair| first.port.checked_add(2 * pair));
    let places =
        (0..groups).flat_map(|number| ports.clone().map(move |port| Endpoint::new(group(number), port)));
    let room = MAX_CANDIDATES.saturating_sub(media.candidates.len());
    let others = places.skip(1).take(room);
    media.candidates.extend(others.map(|endpoint| Candidate { endpoint, is_rtcp: false, is_remote: false }));
}

#[cfg(test)]
mod tests {
    use crate::sip::sdp::tests::media;

    fn places(connection: &str, section: &str) -> Vec<String> {
        let list = media(&format!("v=0\r\nc={connection}\r\nm={section}\r\n"));
        let others = list[0].candidates.iter().map(|candidate| candidate.endpoint);
        [list[0].endpoint].into_iter().chain(others).map(|place| place.to_string()).collect()
    }

    /// The examples of RFC 8866 5.14 and 5.7, and what looks like one.
    #[test]
    fn ports_and_groups_are_those_of_the_rfc() {
        let video = "video 49170/2 RTP/AVP 31";
        assert_eq!(places("IN IP4 192.0.2.1", video), ["192.0.2.1:49170", "192.0.2.1:49172"]);
        let audio = "audio 4000 RTP/AVP 0";
        assert_eq!(
            places("IN IP4 233.252.0.1/127/3", audio),
            ["233.252.0.1:4000", "233.252.0.2:4000", "233.252.0.3:4000"]
        );
        assert_eq!(places("IN IP4 233.252.0.1/127", audio).len(), 1);
        assert_eq!(
            places("IN IP6 FF00::DB8:0:101/3", audio),
            ["[ff00::db8:0:101]:4000", "[ff00::db8:0:102]:4000", "[ff00::db8:0:103]:4000"]
        );
        assert_eq!(places("IN IP4 192.0.2.1/24/3", audio).len(), 1, "no group");
        assert_eq!(places("IN IP4 192.0.2.1", "audio 0/2 RTP/AVP 0").len(), 1, "refused");
    }

    #[test]
    fn is_bounded() {
        let many = places("IN IP4 239.255.255.255/1/4000000000", "audio 65530/65535 RTP/AVP 0");
        assert_eq!(many.len(), 1 + super::MAX_CANDIDATES);
        for strange in ["audio 4000/ RTP/AVP 0", "audio 4000/0 RTP/AVP 0", "audio 4000/-1 RTP/AVP 0"] {
            assert_eq!(places("IN IP4 192.0.2.1", strange).len(), 1, "{strange}");
        }
    }
}
