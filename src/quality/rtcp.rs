//! RTCP packets (RFC 3550 6, RFC 3611).

/// A compound packet: one or more RTCP packets that fill a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
}

/// One RTCP packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Packet<'a> {
    /// What a sender has sent (RFC 3550 6.4.1).
    SenderReport {
        /// Who reports.
        ssrc: u32,
        /// The middle 32 bits of its wall clock: 65,536ths of a second.
        clock: u32,
        /// What it received.
        blocks: &'a [u8],
    },
    /// What a receiver has received (6.4.2).
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// What it received.
        blocks: &'a [u8],
    },
    /// Extended report (RFC 3611 2).
    Extended {
        /// Who reports.
        ssrc: u32,
        /// Its blocks.
        blocks: &'a [u8],
    },
    /// Descriptions, sources that leave, feedback, whatever else.
    Other,
}

/// Bytes of a report block.
const REPORT_BLOCK: usize = 24;

/// What a receiver says of one stream (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// Source of the stream.
    pub ssrc: u32,
    /// Loss since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Packets expected less received since it began; negative with duplicates.
    pub lost: i32,
    /// The jitter estimator, in units of media time.
    pub jitter: u32,
    /// `clock` of the last sender report it received; 0 before the first.
    pub last_report: u32,
    /// Time since then, in 65,536ths of a second.
    pub delay: u32,
}

/// A block of an extended report that is made use of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extension {
    /// The clock of a receiver that sends nothing (RFC 3611 4.4): the middle 32 bits.
    ReferenceTime(u32),
    /// The answer to it (4.5): whose clock, the clock, and the time since then in 65,536ths of a second.
    Delay(u32, u32, u32),
    /// What a call was like at the far end (4.7).
    VoipMetrics(VoipMetrics),
}

/// What is made use of in the VoIP metrics block (RFC 3611 4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VoipMetrics {
    /// Source of the stream.
    pub ssrc: u32,
    /// Discarded by the playout buffer, as a share from 0 to 1 (sent in 256ths).
    pub discard_rate: f64,
    /// Round trip in milliseconds; 0 when not known.
    pub round_trip_ms: u16,
    /// R; none when not known (127).
    pub r_factor: Option<u8>,
    /// Conversational MOS, 1 to 5; none when not known (127).
    pub mos_cq: Option<f64>,
}

impl<'a> Compound<'a> {
    /// Takes a datagram; none when it is not RTCP from end to end, as SRTCP (RFC 3711 3.4), whose packets have a
    /// trailer and are not to be read.
    #[must_use]
    pub fn of(datagram: &'a [u8]) -> Option<Self> {
        let mut rest = datagram;
        while !rest.is_empty() {
            rest = split(rest)?.rest;
        }
        (!datagram.is_empty()).then_some(Self { rest: datagram })
    }
}

/// The first packet of a compound.
struct First<'a> {
    /// Blocks in it, if it has any.
    count: u8,
    kind: u8,
    /// What is behind its first word.
    body: &'a [u8],
    /// What follows it.
    rest: &'a [u8],
}

fn split(bytes: &[u8]) -> Option<First<'_>> {
    let [first, kind, high, low] = *bytes.first_chunk()?;
    if first >> 6 != 2 || !(192..=223).contains(&kind) {
        return None;
    }
    let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    let (packet, rest) = bytes.split_at_checked(length)?;
    // Padding is at the end of the last packet alone, and its last byte is its length.
    let padding = if first & 0x20 == 0 { 0 } else { usize::from(*packet.last()?) };
    let body = packet.get(4..length.checked_sub(padding)?)?;
    Some(First { count: first & 0x1f, kind, body, rest })
}

impl<'a> Iterator for Compound<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let first = split(self.rest)?;
        self.rest = first.rest;
        Some(packet(&first).unwrap_or(Packet::Other))
    }
}

fn packet<'a>(&First { count, kind, body, .. }: &First<'a>) -> Option<Packet<'a>> {
    let ssrc = word(body, 0)?;
    // What is behind the blocks is for a profile.
    let blocks = |start: usize| body.get(start..start + usize::from(count) * REPORT_BLOCK);
    Some(match kind {
        200 => {
            let clock = word(body, 4)? << 16 | word(body, 8)? >> 16;
            Packet::SenderReport { ssrc, clock, blocks: blocks(24)? }
        }
        201 => Packet::ReceiverReport { ssrc, blocks: blocks(4)? },
        207 => Packet::Extended { ssrc, blocks: body.get(4..)? },
        _ => Packet::Other,
    })
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// The report blocks of a sender's or receiver's report.
pub fn report_blocks(blocks: &[u8]) -> impl Iterator<Item = ReportBlock> + '_ {
    blocks.chunks_exact(REPORT_BLOCK).filter_map(report_block)
}

fn report_block(block: &[u8]) -> Option<ReportBlock> {
    let losses = word(block, 4)?;
    Some(ReportBlock {
        ssrc: word(block, 0)?,
        fraction_lost: (losses >> 24) as u8,
        // 24 bits with a sign.
        lost: ((losses << 8) as i32) >> 8,
        jitter: word(block, 12)?,
        last_report: word(block, 16)?,
        delay: word(block, 20)?,
    })
}

/// The blocks of an extended report that are made use of.
pub fn extensions(blocks: &[u8]) -> impl Iterator<Item = Extension> + '_ {
    let mut rest = blocks;
    std::iter::from_fn(move || {
        let [kind, _, high, low] = *rest.first_chunk()?;
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let (block, after) = rest.split_at_checked(length)?;
        rest = after;
        Some((kind, block))
    })
    .flat_map(|(kind, block)| {
        let delays = block.get(4..).filter(|_| kind == 5).unwrap_or_default();
        extension(kind, block).into_iter().chain(delays.chunks_exact(12).filter_map(delay))
    })
}

fn extension(kind: u8, block: &[u8]) -> Option<Extension> {
    match kind {
        4 => Some(Extension::ReferenceTime(word(block, 4)? << 16 | word(block, 8)? >> 16)),
        7 => voip_metrics(block).map(Extension::VoipMetrics),
        _ => None,
    }
}

fn delay(block: &[u8]) -> Option<Extension> {
    Some(Extension::Delay(word(block, 0)?, word(block, 4)?, word(block, 8)?))
}

fn voip_metrics(block: &[u8]) -> Option<VoipMetrics> {
    let byte = |offset: usize| block.get(offset).copied();
    let known = |offset: usize| byte(offset).map(|it| Some(it).filter(|it| *it != 127));
    Some(VoipMetrics {
        ssrc: word(block, 4)?,
        discard_rate: f64::from(byte(9)?) / 256.0,
        round_trip_ms: u16::from_be_bytes([byte(16)?, byte(17)?]),
        r_factor: known(24)?,
        mos_cq: known(27)?.map(|it| f64::from(it) / 10.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    /// Frame 17 of the capture sip-over-tcp, and what tshark 4.0.17 shows of it.
    #[test]
    fn a_sender_report_with_a_description() {
        let datagram = bytes(
            "81c8000c5a3361b30026481d99580fb105b6fe8600000001000000a042f433d4000000000000d4440000000009253062\
             0000041881ca00035a3361b3010363300000\
             0000",
        );
        let packets: Vec<Packet<'_>> = Compound::of(&datagram).unwrap().collect();
        let Packet::SenderReport { ssrc, clock, blocks } = packets[0] else { panic!("{packets:?}") };
        assert_eq!((ssrc, clock), (0x5a33_61b3, 0x481d_9958));
        let block = ReportBlock {
            ssrc: 0x42f4_33d4,
            last_report: 153_432_162,
            delay: 1048,
            ..ReportBlock::default()
        };
        assert_eq!(report_blocks(blocks).collect::<Vec<_>>(), [block]);
        assert_eq!(packets[1..], [Packet::Other]);
    }

    /// Made by hand; the values are those that tshark 4.0.17 shows of the same bytes.
    const EXTENDED: &str = "81c90007010203040a0b0c0d19fffffd0001fffe00000093123456780000800080cf001101020304\
        04000002c0de123456789abc050000030a0b0c0d1234567800018000070000080a0b0c0d0d0540020078131000550046\
        e2c43710517f2927b700003c007800c881cb000101020304";

    #[test]
    fn receiver_and_extended_reports() {
        let datagram = bytes(EXTENDED);
        let packets: Vec<Packet<'_>> = Compound::of(&datagram).unwrap().collect();
        let Packet::ReceiverReport { ssrc: 0x0102_0304, blocks } = packets[0] else { panic!("{packets:?}") };
        let block = ReportBlock {
            ssrc: 168_496_141,
            fraction_lost: 25,
            lost: -3,
            jitter: 147,
            last_report: 305_419_896,
            delay: 32_768,
        };
        assert_eq!(report_blocks(blocks).collect::<Vec<_>>(), [block]);
        let Packet::Extended { ssrc: 0x0102_0304, blocks } = packets[1] else { panic!("{packets:?}") };
        let metrics = VoipMetrics {
            ssrc: 168_496_141,
            discard_rate: 5.0 / 256.0,
            round_trip_ms: 85,
            r_factor: Some(81),
            mos_cq: Some(3.9),
        };
        let blocks: Vec<Extension> = extensions(blocks).collect();
        let delay = Extension::Delay(168_496_141, 305_419_896, 98_304);
        assert_eq!(blocks, [Extension::ReferenceTime(0x1234_5678), delay, Extension::VoipMetrics(metrics)]);
        assert_eq!(packets[2..], [Packet::Other]);
    }

    #[test]
    fn what_is_not_rtcp_to_its_end_is_not_read() {
        let datagram = bytes(EXTENDED);
        assert!(Compound::of(&datagram[..111]).is_none(), "cut");
        // SRTCP: the same with an index and a tag of 80 bits behind it (RFC 3711 3.4).
        let secured = [&datagram[..], &[0x80, 0, 0, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]].concat();
        assert!(Compound::of(&secured).is_none());
        assert!(Compound::of(&[]).is_none());
        assert!(Compound::of(&[0x80, 0, 0, 1, 0, 0, 0, 0]).is_none(), "RTP");
        // Padding of four bytes is part of the last packet and none of its blocks (RFC 3550 6.4.1).
        let padded = [0xa0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4];
        let packets: Vec<Packet<'_>> = Compound::of(&padded).unwrap().collect();
        assert_eq!(packets, [Packet::ReceiverReport { ssrc: 0x0102_0304, blocks: &[] }]);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(start in 0usize..8, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..120)) {
            let datagram = [&[0x81, 207, 0, 4, 0, 0, 0, 1][..start], &bytes[..]].concat();
            for packet in Compound::of(&datagram).into_iter().flatten() {
                if let Packet::Extended { blocks, .. } = packet {
                    proptest::prop_assert!(extensions(blocks).count() <= blocks.len());
                }
            }
            proptest::prop_assert!(extensions(&bytes).count() <= bytes.len());
        }
    }
}
