//! RTP headers, told from RTCP and all else (RFC 3550, RFC 5761).

/// The fixed part of an RTP header (RFC 3550 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Payload type, 7 bits.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Media time, in units of the payload's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// What a UDP payload looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// An RTP packet.
    Rtp(RtpHeader),
    /// An RTCP packet.
    Rtcp,
    /// Neither.
    Neither,
}

/// Tells RTP from RTCP and from anything else by its first bytes (RFC 3550 5.1 and 6.1, RFC 5761 4).
#[must_use]
#[inline]
pub fn look(payload: &[u8]) -> Look {
    let Some(header) = payload.first_chunk::<12>() else {
        return short_rtcp(payload);
    };
    let [first, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3] = *header;
    if first >> 6 != 2 {
        return Look::Neither;
    }
    let payload_type = second & 0x7f;
    if (64..96).contains(&payload_type) {
        // RFC 5761: 64 to 95 with the marker bit are RTCP packet types 192 to 223, and never RTP.
        return if second & 0x80 != 0 { Look::Rtcp } else { Look::Neither };
    }
    if payload.len() < 12 + 4 * usize::from(first & 0x0f) {
        return Look::Neither;
    }
    Look::Rtp(RtpHeader {
        payload_type,
        marker: second & 0x80 != 0,
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
        ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
    })
}

/// An empty receiver report has 8 bytes.
fn short_rtcp(payload: &[u8]) -> Look {
    match payload {
        [first, second, _, _, _, _, _, _, ..] if first >> 6 == 2 && (192..224).contains(second) => Look::Rtcp,
        _ => Look::Neither,
    }
}

/// Bytes of an RTP header with its contributing sources and its extension (RFC 3550 5.3.1), as far as it says; `None`
/// when it is cut before that.
pub(super) fn rtp_header(payload: &[u8]) -> Option<usize> {
    let first = *payload.first()?;
    let fixed = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 == 0 {
        return Some(fixed);
    }
    let [_, _, high, low] = *payload.get(fixed..)?.first_chunk()?;
    Some(fixed + 4 + 4 * usize::from(u16::from_be_bytes([high, low])))
}

/// What an RTP packet carries: without header, and without padding (RFC 3550 5.1). Empty when it is cut.
#[must_use]
pub fn audio(packet: &[u8]) -> &[u8] {
    let payload = rtp_header(packet).and_then(|length| packet.get(length..)).unwrap_or_default();
    let is_padded = packet.first().is_some_and(|first| first & 0x20 != 0);
    let padding = payload.last().filter(|_| is_padded).map_or(0, |last| usize::from(*last));
    payload.get(..payload.len().saturating_sub(padding)).unwrap_or_default()
}

/// Bytes of the first packet of a compound RTCP packet (RFC 3550 6.4.1).
pub(super) fn rtcp_packet(payload: &[u8]) -> Option<usize> {
    let [_, _, high, low] = *payload.first_chunk()?;
    Some(4 + 4 * usize::from(u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtcp_is_not_rtp() {
        let mut sender_report = [0u8; 28];
        sender_report[0] = 0x80;
        sender_report[1] = 200;
        assert_eq!(look(&sender_report), Look::Rtcp);
        assert_eq!(look(&sender_report[..8]), Look::Rtcp);
        let mut rtp = [0u8; 12];
        rtp[0] = 0x80;
        rtp[1] = 0x80 | 8;
        assert!(matches!(look(&rtp), Look::Rtp(RtpHeader { payload_type: 8, marker: true, .. })));
        rtp[0] = 0x81;
        assert_eq!(look(&rtp), Look::Neither, "the CSRC list is cut");
        assert_eq!(look(b"\x00\x01\x00\x00!\x12\xa4Babcd"), Look::Neither, "STUN");
    }

    #[test]
    fn headers_tell_their_length() {
        // Two contributing sources; an extension of one word behind them (RFC 3550 5.1, 5.3.1).
        let mut packet = [0; 32];
        packet[0] = 0x80 | 2;
        assert_eq!(rtp_header(&packet), Some(20));
        packet[0] |= 0x10;
        packet[23] = 1;
        assert_eq!(rtp_header(&packet), Some(28));
        assert_eq!(rtp_header(&packet[..23]), None);
        assert_eq!((audio(&packet).len(), audio(&packet[..23]).len()), (4, 0));
        (packet[0], packet[31]) = (packet[0] | 0x20, 3);
        assert_eq!(audio(&packet).len(), 1, "padding counts itself");
        packet[31] = 5;
        assert_eq!(audio(&packet).len(), 0);
        // A receiver report without blocks has one word behind its first (RFC 3550 6.4.2).
        assert_eq!(rtcp_packet(&[0x80, 201, 0, 1, 0, 0, 0, 0]), Some(8));
        assert_eq!(rtcp_packet(&[0x80, 201, 0]), None);
    }
}
