//! Cuts every TCP segment of a capture into segments of one byte.

use crate::classic::{Classic, Packet};
use crate::wire::checksum;

/// Where a frame's headers lie.
struct Segment {
    ip: usize,
    tcp: usize,
    payload: usize,
    end: usize,
}

/// The capture with one segment for each byte, all at the time of the segment that they come from; and how many
/// segments were cut.
pub(crate) fn one_byte_segments(file: &Classic) -> (Classic, usize) {
    let mut cut = 0;
    let mut packets = Vec::new();
    for packet in &file.packets {
        let whole = packet.original as usize == packet.frame.len();
        match segment(file.link, &packet.frame).filter(|it| whole && it.end > it.payload + 1) {
            Some(segment) => {
                cut += 1;
                packets.extend(
                    (segment.payload..segment.end).map(|at| packet.with(byte(&packet.frame, &segment, at))),
                );
            }
            None => packets.push(packet.clone()),
        }
    }
    (file.with(packets), cut)
}

/// The segment that carries only the byte at `at`.
fn byte(frame: &[u8], segment: &Segment, at: usize) -> Vec<u8> {
    const SYN: u8 = 2;
    const PSH_FIN: u8 = 1 | 8;
    let &Segment { ip, tcp, payload, end } = segment;
    let mut out = frame[..payload].to_vec();
    out.push(frame[at]);
    let syn = frame[tcp + 13] & SYN != 0;
    let first = u32::from_be_bytes(*frame[tcp + 4..].first_chunk().unwrap());
    let before = u32::try_from(at - payload).unwrap();
    let number = first.wrapping_add(before + u32::from(syn && before > 0));
    out[tcp + 4..tcp + 8].copy_from_slice(&number.to_be_bytes());
    if before > 0 {
        out[tcp + 13] &= !SYN;
    }
    if at + 1 < end {
        out[tcp + 13] &= !PSH_FIN;
    }
    let length = u16::try_from(out.len() - ip).unwrap();
    if out[ip] >> 4 == 4 {
        out[ip + 2..ip + 4].copy_from_slice(&length.to_be_bytes());
        out[ip + 10..ip + 12].fill(0);
        let sum = checksum(&out[ip..tcp]);
        out[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
    } else {
        out[ip + 4..ip + 6].copy_from_slice(&(length - 40).to_be_bytes());
    }
    out
}

/// The payload of a TCP segment, unless it is empty.
pub(crate) fn payload(link: u32, frame: &mut [u8]) -> Option<&mut [u8]> {
    let Segment { payload, end, .. } = segment(link, frame)?;
    frame.get_mut(payload..end).filter(|payload| !payload.is_empty())
}

/// Finds TCP directly over IP without extension headers, in Ethernet (with VLAN tags), Linux cooked, loopback and raw
/// IP captures.
fn segment(link: u32, frame: &[u8]) -> Option<Segment> {
    let ip = match link {
        0 => 4,
        1 => tags(frame, 12)?,
        101 => 0,
        113 => tags(frame, 14)?,
        276 => 20,
        _ => return None,
    };
    let half = |at: usize| frame.get(at..at + 2).map(|it| usize::from(it[0]) << 8 | usize::from(it[1]));
    let (protocol, tcp, end) = match frame.get(ip)? >> 4 {
        4 if half(ip + 6)? & 0x3fff == 0 => {
            (frame.get(ip + 9)?, ip + usize::from(frame[ip] & 15) * 4, ip + half(ip + 2)?)
        }
        6 => (frame.get(ip + 6)?, ip + 40, ip + 40 + half(ip + 4)?),
        _ => return None,
    };
    let payload = tcp + usize::from(frame.get(tcp + 12)? >> 4) * 4;
    (*protocol == 6 && payload <= end && end <= frame.len()).then_some(Segment { ip, tcp, payload, end })
}

/// Where IP begins behind the type field at `at` and its tags.
fn tags(frame: &[u8], mut at: usize) -> Option<usize> {
    while let [0x81, 0] | [0x88, 0xa8] = frame.get(at..at + 2)? {
        at += 4;
    }
    Some(at + 2)
}

#[test]
fn the_bytes_stay_the_same() {
    let file = Classic::read(&crate::support::testdata("corpus/fragmented-tcp-sip/input.pcap")).unwrap();
    let (recut, cut) = one_byte_segments(&file);
    assert!(cut >= 3);
    let payload = |file: &Classic| -> usize {
        let lengths = file.packets.iter().map(|packet: &Packet| {
            segment(file.link, &packet.frame).map_or(0, |segment| segment.end - segment.payload)
        });
        lengths.sum()
    };
    assert_eq!(payload(&recut), payload(&file));
    assert!(recut.packets.len() > 3000);
}
