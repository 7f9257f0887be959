//! Capture files for tests, put together byte by byte after the format's specification.

use super::order::Order;

/// A packet of a sample: time in units of the file, and its bytes.
pub(super) type Sample = (u64, Vec<u8>);

pub(super) fn bytes16(order: Order, value: u16) -> [u8; 2] {
    if order == Order::Little { value.to_le_bytes() } else { value.to_be_bytes() }
}

pub(super) fn bytes32(order: Order, value: u32) -> [u8; 4] {
    if order == Order::Little { value.to_le_bytes() } else { value.to_be_bytes() }
}

/// A classic file with times in microseconds.
pub(super) fn classic(order: Order, packets: &[Sample]) -> Vec<u8> {
    let mut file = bytes32(order, 0xa1b2_c3d4).to_vec();
    file.extend([bytes16(order, 2), bytes16(order, 4)].concat());
    file.extend([0, 0, 262_144, 1].map(|word| bytes32(order, word)).concat());
    for (time, bytes) in packets {
        let length = bytes.len() as u32;
        let words = [(time / 1_000_000) as u32, (time % 1_000_000) as u32, length, length];
        file.extend(words.map(|word| bytes32(order, word)).concat());
        file.extend(bytes);
    }
    file
}

/// Any pcapng block, padded.
pub(super) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let length = bytes32(order, body.len() as u32 + 12);
    [&bytes32(order, kind)[..], &length, &body, &length].concat()
}

/// A section header block.
pub(super) fn section(order: Order) -> Vec<u8> {
    let version = [bytes16(order, 1), bytes16(order, 0)].concat();
    block(order, 0x0a0d_0d0a, &[&bytes32(order, 0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat())
}

/// An interface description block.
pub(super) fn interface(order: Order, link: u16, snaplen: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = [bytes16(order, link), [0; 2]].concat();
    body.extend(bytes32(order, snaplen));
    for (code, value) in options {
        body.extend([bytes16(order, *code), bytes16(order, value.len() as u16)].concat());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(order, 1, &body)
}

/// An enhanced packet block.
pub(super) fn enhanced(order: Order, number: u32, packet: &Sample) -> Vec<u8> {
    let length = packet.1.len() as u32;
    let words = [number, (packet.0 >> 32) as u32, packet.0 as u32, length, length];
    let fixed = words.map(|word| bytes32(order, word)).concat();
    block(order, 6, &[&fixed, &packet.1[..]].concat())
}

/// A pcapng file of one section and one Ethernet interface, times in microseconds.
pub(super) fn pcapng(order: Order, packets: &[Sample]) -> Vec<u8> {
    let mut file = [section(order), interface(order, 1, 0, &[])].concat();
    packets.iter().for_each(|packet| file.extend(enhanced(order, 0, packet)));
    file
}
