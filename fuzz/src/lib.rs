//! What each fuzz target does with its input. In: any bytes. Out: nothing, or a panic where a promise is broken.
//!
//! The tests of the program use the same functions on the inputs below `testdata/fuzz`.

#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a broken promise has to stop the fuzzer; the tests include this file as a module"
)]

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lippycat::capture::{LinkType, Packet, PacketBatch, PacketSource, file};
use lippycat::decode::{self, Decoded, decode_datagram};
use lippycat::defrag::{Carrier, Defragmenter, Limits};
use lippycat::flow::{Address, Endpoint, PairHasher};
use lippycat::pipeline::{Bytes, Place};
use lippycat::reassembly::{self, Budget, Reassembler, Segment};
use lippycat::sip::websocket::{Upgrade, WebSocket, WebSocketFrame, upgrade};
use lippycat::sip::{Frame, Framer, Head, Messages, SipStream, is_sip_datagram, sdp};
use lippycat::time::{PacketTime, Timestamp};

/// Links that have a decoder; the first byte of an input chooses.
const LINKS: [LinkType; 11] = [
    LinkType::ETHERNET,
    LinkType::LINUX_SLL,
    LinkType::LINUX_SLL2,
    LinkType::RAW,
    LinkType::NULL,
    LinkType::LOOP,
    LinkType::PPP,
    LinkType::PPP_HDLC,
    LinkType::PPP_ETHER,
    LinkType::IPV4,
    LinkType::IPV6,
];

/// The target `decode`: a link, then a frame. Every offset lies in it, and a fragment may be put together.
pub fn decode(data: &[u8]) {
    let Some((&link, frame)) = data.split_first() else { return };
    let link = LINKS[usize::from(link) % LINKS.len()];
    match decode::decode(link, frame) {
        Ok(Decoded::Unit(unit)) => {
            let end = unit.start as usize + unit.length as usize;
            assert!(end <= frame.len(), "payload until {end} of {}", frame.len());
            assert!(unit.network as usize <= frame.len());
        }
        Ok(Decoded::Fragment(fragment)) => {
            assert!(fragment.start as usize + fragment.length as usize <= frame.len());
            let limits = Limits {
                max_datagrams: 4,
                max_bytes: 1 << 20,
                timeout: Duration::from_secs(30),
                keep_frames: true,
            };
            let mut defragmenter = Defragmenter::new(limits);
            let packet = Packet { captured: frame.len() as u32, link, ..Packet::default() };
            let now = Timestamp::new(1, 0);
            let mut whole = defragmenter.push(&fragment, Carrier::Frame(&packet), frame, now);
            while let Some(datagram) = whole {
                let payload = datagram.payload.to_vec();
                whole = match decode_datagram(&datagram.first, &payload) {
                    Ok(Decoded::Unit(unit)) => {
                        assert!(unit.start as usize + unit.length as usize <= payload.len());
                        None
                    }
                    Ok(Decoded::Fragment(inner)) => {
                        let frames = PacketBatch::new(frame, std::slice::from_ref(&packet));
                        defragmenter.push(&inner, Carrier::Datagram(frames), &payload, now)
                    }
                    Ok(Decoded::NonIp) | Err(_) => None,
                };
            }
        }
        Ok(Decoded::NonIp) | Err(_) => {}
    }
}

/// Where the frames of a stream begin and what they are, when its bytes come `step` at a time.
fn frames(data: &[u8], step: usize, max: usize) -> Vec<(usize, Frame)> {
    let mut framer = Framer::new(max);
    let mut found = Vec::new();
    let mut skipping = 0usize;
    let mut at = 0;
    let mut end = 0;
    while end < data.len() {
        end = (end + step).min(data.len());
        loop {
            let skip = skipping.min(end - at);
            skipping -= skip;
            at += skip;
            if at == end {
                break;
            }
            let frame = framer.next(&data[at..end]);
            let consumed = match frame {
                Frame::Message { head, length } => {
                    assert!(0 < head && head <= length, "{frame:?}");
                    length
                }
                Frame::Oversize { head, body } => {
                    assert!(body > max as u64, "{frame:?}");
                    skipping = usize::try_from(body).unwrap_or(usize::MAX);
                    head
                }
                Frame::KeepAlive { length } => {
                    assert!(matches!(length, 1 | 2));
                    length
                }
                Frame::NotSip { skip } => skip,
                Frame::Incomplete { need } => {
                    assert!(need > 0);
                    break;
                }
            };
            assert!(0 < consumed && consumed <= end - at, "{frame:?} of {} bytes", end - at);
            // How skipped bytes and line ends are dealt out may depend on what has come; messages may not.
            if matches!(frame, Frame::Message { .. } | Frame::Oversize { .. }) {
                found.push((at, frame));
            }
            at += consumed;
        }
    }
    found
}

/// The target `framer`: every answer makes progress within the bytes, and messages do not depend on how they came.
pub fn framer(data: &[u8]) {
    for max in [1 << 20, 64] {
        let whole = frames(data, data.len().max(1), max);
        for step in [1, 7] {
            assert_eq!(frames(data, step, max), whole, "{step} bytes at a time");
        }
    }
}

/// The target `head`: every span lies in the message, whether that is a datagram or out of a stream.
pub fn head(data: &[u8]) {
    let _ = is_sip_datagram(data);
    for datagram in [true, false] {
        let Some(head) = Head::parse(data, datagram) else { continue };
        let spans = [
            head.call_id,
            head.from,
            head.from_uri,
            head.from_tag,
            head.to,
            head.to_uri,
            head.to_tag,
            head.via,
            head.branch,
            head.cseq_token,
            head.contact,
            head.agent,
            head.reason,
            head.asserted,
            head.content_type,
            head.expires,
            head.body,
        ];
        for span in spans {
            assert!(span.start as usize + span.length as usize <= data.len(), "{span:?} of {}", data.len());
        }
        sdp::parse(data, &head, &mut sdp::Sections::default(), &mut Vec::new());
    }
}

/// The target `sdp`: what is found is less than what was read, and the same when it is read again.
pub fn sdp(data: &[u8]) {
    let mut known = sdp::Sections::default();
    let [first, again] = [(); 2].map(|()| {
        let mut media = Vec::new();
        sdp::parse_description(data, &mut known, &mut media);
        media
    });
    assert!(first.len() <= data.len() / 2);
    assert_eq!(first, again);
}

/// The target `stream`: operations on a few connections. Eight bytes of header each: connection and direction, flags,
/// sequence number (2), time to pass (1), length (2), reserved; then the payload. Bytes that go in come out or are
/// counted.
pub fn stream(data: &[u8]) {
    let limits = reassembly::Limits {
        max_connections: 3,
        max_direction_bytes: 4096,
        memory_limit: 8192,
        ..reassembly::Limits::default()
    };
    let mut reassembler: Reassembler<SipStream> = Reassembler::new(limits, Arc::new(Budget::default()));
    let mut output = Messages::default();
    let hasher = PairHasher::default();
    let mut now = Timestamp::new(1_000, 0);
    let mut sequence = 0;
    let mut hint = None;
    let mut rest = data;
    while let Some((header, behind)) = rest.split_first_chunk::<8>() {
        let length = usize::from(u16::from_le_bytes([header[5], header[6]])).min(behind.len());
        let (payload, behind) = behind.split_at(length);
        rest = behind;
        sequence += 1;
        now = now.after(Duration::from_millis(u64::from(header[4]) * 20));
        let ends = [10_000 + u16::from(header[0] >> 1 & 3), 5060]
            .map(|port| Endpoint::new(Address::v4([192, 0, 2, 1]), port));
        let [source, destination] = if header[0] & 1 == 0 { ends } else { [ends[1], ends[0]] };
        let number = u32::from(u16::from_le_bytes([header[2], header[3]]));
        let tcp = decode::TcpHeader {
            // Around the end of the number space, where comparisons go wrong.
            sequence: number.wrapping_sub(0x4000),
            acknowledgement: 0,
            flags: decode::TcpFlags(header[1]),
        };
        let place = Bytes { place: Place::Packets, start: 0, length: length as u32 };
        let place = Some(place);
        let hash = hasher.hash_either_way(source, destination);
        let segment =
            Segment { source, destination, hash, header: tcp, payload, place, missing: 0, captured: now };
        // Where the one before was: as often as not the wrong place.
        hint = reassembler.segment(hint, (sequence, Some(0)), now, &segment, &mut output);
        reassembler.expire(sequence, PacketTime::plain(now), &mut output);
        output.clear();
        balanced(&reassembler);
    }
    reassembler.finish(sequence + 1, &mut output);
    balanced(&reassembler);
    assert_eq!(reassembler.connections(), 0);
}

fn balanced(reassembler: &Reassembler<SipStream>) {
    let counters = reassembler.counters();
    let accounted = counters.delivered_bytes
        + counters.retransmitted_bytes
        + counters.overlap_bytes
        + counters.rejected_bytes
        + counters.dropped_bytes
        + reassembler.waiting_bytes();
    assert_eq!(counters.payload_bytes, accounted, "{counters:?}");
}

/// The target `websocket`: progress within the bytes, and payloads that do not depend on how they came.
pub fn websocket(data: &[u8]) {
    if let Upgrade::Yes { length, .. } = upgrade(data) {
        assert!(0 < length && length <= data.len());
    }
    let whole = payloads(data, data.len().max(1));
    for step in [1, 5] {
        assert_eq!(payloads(data, step), whole, "{step} bytes at a time");
    }
}

fn payloads(data: &[u8], step: usize) -> Vec<Vec<u8>> {
    const MAX: usize = 512;
    let mut reader = WebSocket::new(MAX);
    let mut payload = Vec::new();
    let mut found = Vec::new();
    let mut skipping = 0usize;
    let mut at = 0;
    let mut end = 0;
    while end < data.len() {
        end = (end + step).min(data.len());
        loop {
            let skip = skipping.min(end - at);
            skipping -= skip;
            at += skip;
            if at == end {
                break;
            }
            let consumed = match reader.next(&data[at..end], &mut payload) {
                WebSocketFrame::Message { length } => {
                    assert!(payload.len() <= MAX, "{}", payload.len());
                    found.push(std::mem::take(&mut payload));
                    length
                }
                WebSocketFrame::Fragment { length } | WebSocketFrame::Control { length } => length,
                WebSocketFrame::Unreadable { header, payload } => {
                    skipping = usize::try_from(payload).unwrap_or(usize::MAX);
                    header
                }
                WebSocketFrame::Incomplete { need } => {
                    assert!(need > 0);
                    break;
                }
                WebSocketFrame::Invalid => return found,
            };
            assert!(0 < consumed && consumed <= end - at);
            at += consumed;
        }
    }
    found
}

/// Packets of a capture file, a few at a time; each lies in its batch.
fn packets(data: &[u8], limit: usize) -> Vec<(Packet, Vec<u8>)> {
    let mut capture = tempfile::NamedTempFile::new().expect("a temporary file");
    capture.write_all(data).expect("room for it");
    let (mut source, errors) = file::open(&[PathBuf::from(capture.path())]);
    let mut found = Vec::new();
    let mut failures = errors.len();
    loop {
        match source.next_batch(limit) {
            Ok(Some(batch)) => {
                assert!(!batch.packets.is_empty() && batch.packets.len() <= limit);
                found.extend(batch.packets.iter().map(|packet| {
                    let frame = batch.frame(packet);
                    assert_eq!(frame.len(), packet.captured as usize, "a packet lies in its batch");
                    (Packet { offset: 0, ..*packet }, frame.to_vec())
                }));
            }
            Ok(None) => break,
            Err(_) => failures += 1,
        }
    }
    assert!(failures <= 1, "one file fails once");
    assert_eq!(source.counters().packets, found.len() as u64);
    found
}

/// The target `pcap`: packets do not depend on the size of batches.
pub fn pcap(data: &[u8]) {
    assert_eq!(packets(data, 1), packets(data, 1000));
}

/// The target `pcapng`: a section header that is right, and any blocks behind it.
pub fn pcapng(data: &[u8]) {
    const SECTION: [u8; 28] = [
        0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0,
    ];
    pcap(data);
    pcap(&[&SECTION, data].concat());
}
