//! RTP headers and the statistics of one stream (RFC 3550).

use crate::time::Timestamp;

/// The fixed part of an RTP header (RFC 3550 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// Payload type, 7 bits.
    pub payload_type: u8,
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

/// Bytes of the first packet of a compound RTCP packet (RFC 3550 6.4.1).
pub(super) fn rtcp_packet(payload: &[u8]) -> Option<usize> {
    let [_, _, high, low] = *payload.first_chunk()?;
    Some(4 + 4 * usize::from(u16::from_be_bytes([high, low])))
}

/// Clock rate and name of a payload type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadFormat {
    /// Clock rate in Hz; 0 when unknown.
    pub clock: u32,
    /// Encoding name; empty when unknown.
    pub name: crate::sip::sdp::CodecName,
}

/// What one stream was like: counts, loss and jitter as RFC 3550 appendix A defines them.
///
/// What every packet needs comes first: one cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct StreamStatistics {
    /// Packets received; 0 means that there is no stream.
    pub packets: u64,
    /// Time of the latest packet.
    pub last: Timestamp,
    /// The estimator, its sum and its maximum, in [`FINE`] parts of a nanosecond.
    jitter: i64,
    jitter_sum: u64,
    jitter_max: i64,
    /// Nanoseconds in a unit of the clock, in 65,536ths; 0 when unknown.
    unit: u64,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Highest sequence number, with wraps counted in the upper half.
    highest: u32,
    media_time: u32,
    /// Its payload type: the latest, comfort noise and DTMF aside.
    pub payload_type: u8,
    /// Encoding name of that payload type; empty when unknown.
    pub codec: crate::sip::sdp::CodecName,
    base: u32,
    /// Packets that gave no sample of jitter: the first, and those whose clock rate was not known.
    unmeasured: u64,
    /// Time of the first packet.
    pub first: Timestamp,
}

/// A jump of the sequence number by more than this, forward or back, is a new start, not loss (RFC 3550 A.1
/// MAX_DROPOUT).
const MAX_DROPOUT: u16 = 3000;

/// Parts of a nanosecond in which jitter is counted. Integers: conversions to floating point and a division would
/// cost as much as all else that a packet needs here.
const FINE: i64 = 64;

/// As many in a millisecond.
const FINE_MS: f64 = 64e6;

/// A packet later or earlier than that, nine hours, counts as that much, and keeps the sums from overflowing.
const LONGEST_TRANSIT: u64 = 1 << 45;

/// See [`StreamStatistics::unit`].
const fn unit(format: PayloadFormat) -> u64 {
    match (1_000_000_000u64 << 16).checked_div(format.clock as u64) {
        Some(unit) => unit,
        None => 0,
    }
}

impl StreamStatistics {
    /// A stream that begins with this packet.
    #[must_use]
    pub fn new(header: &RtpHeader, arrival: Timestamp, format: PayloadFormat) -> Self {
        // One turn of the sequence number is added, so that late packets before the first do not wrap below zero.
        let base = u32::from(header.sequence) | 1 << 16;
        Self {
            ssrc: header.ssrc,
            payload_type: header.payload_type,
            unit: unit(format),
            codec: format.name,
            packets: 1,
            unmeasured: 1,
            first: arrival,
            last: arrival,
            base,
            highest: base,
            media_time: header.timestamp,
            ..Self::default()
        }
    }

    /// Whether the clock rate is known.
    #[must_use]
    pub const fn has_clock(&self) -> bool {
        self.unit != 0
    }

    /// The payload type means this from now on.
    pub const fn set_format(&mut self, payload_type: u8, format: PayloadFormat) {
        self.payload_type = payload_type;
        self.unit = unit(format);
        self.codec = format.name;
    }

    /// Counts the next packet.
    #[inline]
    pub fn observe(&mut self, header: &RtpHeader, arrival: Timestamp) {
        self.packets += 1;
        let step = header.sequence.wrapping_sub(self.highest as u16);
        if step < MAX_DROPOUT {
            self.highest = self.highest.wrapping_add(u32::from(step));
        } else if step <= u16::MAX - MAX_DROPOUT {
            self.restart(header.sequence);
        }
        self.measure_jitter(header, arrival);
        self.last = arrival;
    }

    /// The sender began again at another number: what was expected so far is carried over.
    fn restart(&mut self, sequence: u16) {
        let expected = self.highest.wrapping_sub(self.base);
        self.highest = u32::from(sequence) | (self.highest & 0xffff_0000).wrapping_add(1 << 16);
        self.base = self.highest.wrapping_sub(expected).wrapping_sub(1);
    }

    #[inline]
    fn measure_jitter(&mut self, header: &RtpHeader, arrival: Timestamp) {
        let media = header.timestamp.wrapping_sub(self.media_time) as i32;
        self.media_time = header.timestamp;
        if self.unit == 0 {
            self.unmeasured += 1;
            return;
        }
        let wall = arrival.0.wrapping_sub(self.last.0) as i64;
        let sent = (i128::from(media) * i128::from(self.unit)) >> 16;
        let transit = wall.wrapping_sub(sent as i64).unsigned_abs().min(LONGEST_TRANSIT) as i64;
        // Rounded, and not cut, so that the estimator has no drift towards 0.
        self.jitter += (transit * FINE - self.jitter + 8) >> 4;
        self.jitter_sum = self.jitter_sum.saturating_add(self.jitter as u64);
        self.jitter_max = self.jitter_max.max(self.jitter);
    }

    /// Packets expected minus packets received; negative when some came twice.
    #[must_use]
    pub fn lost(&self) -> i64 {
        i64::from(self.highest.wrapping_sub(self.base)) + 1 - self.packets as i64
    }

    /// Mean of the jitter estimator in milliseconds; none when the clock rate is unknown or one packet came.
    #[must_use]
    pub fn mean_jitter_ms(&self) -> Option<f64> {
        let samples = self.packets.saturating_sub(self.unmeasured);
        (samples > 0).then(|| self.jitter_sum as f64 / samples as f64 / FINE_MS)
    }

    /// Maximum of the jitter estimator in milliseconds.
    #[must_use]
    pub fn max_jitter_ms(&self) -> Option<f64> {
        (self.packets > self.unmeasured).then_some(self.jitter_max as f64 / FINE_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::sdp::CodecName;

    const PCMU: fn() -> PayloadFormat = || PayloadFormat { clock: 8000, name: CodecName::new(b"PCMU") };

    fn packet(sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { payload_type: 0, sequence, timestamp, ssrc: 7 }
    }

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
        assert!(matches!(look(&rtp), Look::Rtp(RtpHeader { payload_type: 8, .. })));
        rtp[0] = 0x81;
        assert_eq!(look(&rtp), Look::Neither, "the CSRC list is cut");
        assert_eq!(look(b"\x00\x01\x00\x00!\x12\xa4Babcd"), Look::Neither, "STUN");
    }

    #[test]
    fn loss_is_expected_minus_received_across_the_wrap() {
        let mut stream = StreamStatistics::new(&packet(65_530, 0), Timestamp(0), PCMU());
        let mut sent = 0u32;
        for step in 1..=20u32 {
            if step % 5 != 0 {
                sent += 1;
                let sequence = 65_530u16.wrapping_add(step as u16);
                stream.observe(&packet(sequence, step * 160), Timestamp(u64::from(step) * 20_000_000));
            }
        }
        assert_eq!(stream.packets, u64::from(sent) + 1);
        assert_eq!(stream.lost(), 3, "5, 10 and 15; 20 was the last and nobody can know of it");
    }

    #[test]
    fn duplicates_count_against_loss_and_reordering_does_not() {
        let mut stream = StreamStatistics::new(&packet(10, 0), Timestamp(0), PCMU());
        for sequence in [12, 11, 11] {
            stream.observe(&packet(sequence, 0), Timestamp(0));
        }
        assert_eq!(stream.lost(), -1);
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
        // A receiver report without blocks has one word behind its first (RFC 3550 6.4.2).
        assert_eq!(rtcp_packet(&[0x80, 201, 0, 1, 0, 0, 0, 0]), Some(8));
        assert_eq!(rtcp_packet(&[0x80, 201, 0]), None);
    }

    #[test]
    fn a_new_start_is_not_loss() {
        let mut stream = StreamStatistics::new(&packet(10, 0), Timestamp(0), PCMU());
        for sequence in [11, 30_000, 30_001] {
            stream.observe(&packet(sequence, 0), Timestamp(0));
        }
        assert_eq!(stream.lost(), 0);
    }

    #[test]
    fn jitter_follows_the_estimator_of_rfc_3550() {
        // Appendix A.8: J += (|D| - J) / 16, D in wall time here: one packet 16 ms late gives 1 ms.
        let mut stream = StreamStatistics::new(&packet(0, 0), Timestamp(0), PCMU());
        stream.observe(&packet(1, 160), Timestamp(36_000_000));
        assert_eq!(stream.max_jitter_ms(), Some(1.0));
        assert_eq!(stream.mean_jitter_ms(), Some(1.0));
    }
}
