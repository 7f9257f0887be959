//! Frames by hand: SIP over UDP between two fixed hosts.

use crate::classic::{Classic, Packet};

/// An INVITE and its 486 with this Call-ID, headers of the caller's choice, and a time.
pub(crate) fn refused_call(call_id: &[u8], user: &str, seconds: u32) -> [Packet; 3] {
    let message = |start: &str, method: &str, tag: &str| {
        let mut text = format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{seconds}\r\n\
             From: <sip:{user}@192.0.2.1>;tag=a{seconds}\r\nTo: <sip:bob@192.0.2.2>{tag}\r\nCSeq: 1 {method}\r\nCall-ID: "
        )
        .into_bytes();
        text.extend(call_id);
        text.extend(b"\r\nContent-Length: 0\r\n\r\n");
        text
    };
    let packet = |fraction: u32, frame: Vec<u8>| Packet {
        seconds,
        fraction,
        original: u32::try_from(frame.len()).unwrap(),
        frame,
    };
    [
        packet(1, datagram(1, 2, &message("INVITE sip:bob@192.0.2.2 SIP/2.0", "INVITE", ""))),
        packet(2, datagram(2, 1, &message("SIP/2.0 486 Busy Here", "INVITE", ";tag=b"))),
        packet(3, datagram(1, 2, &message("ACK sip:bob@192.0.2.2 SIP/2.0", "ACK", ";tag=b"))),
    ]
}

/// An Ethernet capture, microseconds.
pub(crate) fn ethernet(packets: Vec<Packet>) -> Classic {
    Classic { big_endian: false, nanoseconds: false, link: 1, packets }
}

/// Ethernet, IPv4, UDP from 192.0.2.`source` to 192.0.2.`destination`, both on port 5060.
pub(crate) fn datagram(source: u8, destination: u8, payload: &[u8]) -> Vec<u8> {
    udp((source, 5060), (destination, 5060), payload)
}

/// As [`datagram`], with ports.
pub(crate) fn udp((source, from): (u8, u16), (destination, to): (u8, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, source, 192, 0, 2, destination];
    ip[2..4].copy_from_slice(&(20 + length).to_be_bytes());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source, 8, 0];
    frame.extend(ip);
    [from, to, length, 0].into_iter().for_each(|half: u16| frame.extend(half.to_be_bytes()));
    frame.extend(payload);
    frame
}

/// An ICMP error (RFC 792) of that type and code from the receiver of `frame` to its sender, with so many bytes of its packet.
pub(crate) fn icmp(frame: &[u8], (kind, code): (u8, u8), quoted: usize) -> Vec<u8> {
    let packet = &frame[14..];
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(&packet[..quoted.min(packet.len())]);
    message.resize(message.len().next_multiple_of(2), 0);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut error = udp((packet[19], 0), (packet[15], 0), &message);
    // The UDP header goes, and the protocol is another one.
    error.drain(34..42);
    let length = u16::try_from(error.len() - 14).unwrap();
    error[16..18].copy_from_slice(&length.to_be_bytes());
    error[23] = 1;
    error[24..26].fill(0);
    let sum = checksum(&error[14..34]);
    error[24..26].copy_from_slice(&sum.to_be_bytes());
    error
}

/// A packet of `frame`, so many milliseconds after 2023-11-14 22:13:20 UTC.
pub(crate) fn at(milliseconds: u32, frame: Vec<u8>) -> Packet {
    Packet {
        seconds: 1_700_000_000 + milliseconds / 1000,
        fraction: milliseconds % 1000 * 1000,
        original: u32::try_from(frame.len()).unwrap(),
        frame,
    }
}

/// An RTP packet (RFC 3550 5.1).
pub(crate) fn rtp(payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// The Internet checksum of an even number of bytes (RFC 1071).
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
