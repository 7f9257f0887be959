//! Packets that were cut before they went into a tunnel, and again inside it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::support::{Run, assert_nothing_vanished, has_tshark, tshark};
use crate::wire::{at, checksum, ethernet, refused_call};

/// An IPv4 packet in fragments of at most `size` bytes each, a multiple of eight (RFC 791 3.2).
pub(crate) fn cut(packet: &[u8], size: usize, identification: u16) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let last = payload.len().div_ceil(size) - 1;
    let pieces = payload.chunks(size).enumerate().map(|(index, piece)| {
        let mut header = header.to_vec();
        header[2..4].copy_from_slice(&u16::try_from(20 + piece.len()).unwrap().to_be_bytes());
        header[4..6].copy_from_slice(&identification.to_be_bytes());
        let more = if index < last { 0x2000 } else { 0 };
        let offset = u16::try_from(index * size / 8).unwrap();
        header[6..8].copy_from_slice(&(more | offset).to_be_bytes());
        header[10..12].copy_from_slice(&[0, 0]);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&header[..], piece].concat()
    });
    pieces.collect()
}

/// A packet in GRE (RFC 2784) between 198.51.100.1 and 198.51.100.2.
fn tunnelled(packet: &[u8], identification: u16) -> Vec<u8> {
    let length = u16::try_from(24 + packet.len()).unwrap();
    let mut outer = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 47, 0, 0, 198, 51, 100, 1, 198, 51, 100, 2];
    outer[2..4].copy_from_slice(&length.to_be_bytes());
    outer[4..6].copy_from_slice(&identification.to_be_bytes());
    let sum = checksum(&outer);
    outer[10..12].copy_from_slice(&sum.to_be_bytes());
    [&outer[..], &[0, 0, 8, 0], packet].concat()
}

/// A call whose every message is cut, put into a tunnel and cut again; a message's pieces come in the order that
/// `order` makes of them.
fn call(order: impl Fn(&mut Vec<Vec<u8>>)) -> NamedTempFile {
    let mut packets: Vec<Packet> = Vec::new();
    let mut identification = 0;
    for (message, packet) in (0..).zip(refused_call(b"cut-twice", &"a".repeat(2_500), 0)) {
        let mut pieces = Vec::new();
        for fragment in cut(&packet.frame[14..], 1_000, message) {
            identification += 1;
            pieces.extend(cut(&tunnelled(&fragment, 0), 600, identification));
        }
        order(&mut pieces);
        for (piece, count) in pieces.into_iter().zip(0..) {
            let frame = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &piece].concat();
            packets.push(at(u32::from(message) * 1_000 + count, frame));
        }
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&ethernet(packets).bytes()).unwrap();
    file
}

/// Methods and codes of the messages in a file as tshark sees them, and the numbers of marked frames.
fn witnessed(file: &Path) -> (Vec<String>, usize) {
    let told = tshark(file, "sip", &["sip.Method", "sip.Status-Code"]).unwrap();
    let bad = tshark(file, "_ws.malformed || ip.checksum.status == \"Bad\"", &["frame.number"]).unwrap();
    (told.into_iter().map(|fields| fields.concat()).collect(), bad.len())
}

#[test]
fn what_was_cut_before_the_tunnel_and_in_it_is_put_together() {
    if !has_tshark() {
        return;
    }
    let orders: [fn(&mut Vec<Vec<u8>>); 3] =
        [|_| (), |pieces| pieces.reverse(), |pieces| pieces.rotate_left(3)];
    for (number, order) in orders.into_iter().enumerate() {
        let file = call(order);
        let (messages, _) = witnessed(file.path());
        assert_eq!(messages, ["INVITE", "486", "ACK"], "order {number}");
        let run = Run::of(file.path(), &[]);
        assert_nothing_vanished(&run, "cut twice");
        assert_eq!(run.number("/sip/messages"), 3, "order {number}: {}", run.summary);
        assert_eq!(run.number("/packets"), run.number("/fragments/seen"));
        assert_eq!(run.number("/fragments/failed"), 0);
        assert_eq!(
            (&run.records[0]["call_id"], &run.records[0]["status_code"]),
            (&"cut-twice".into(), &486.into())
        );
        // The call's file has the packets as they were captured.
        let [path] = &run.paths()[..] else { panic!("one call, one file") };
        assert_eq!(witnessed(path), (messages, 0), "order {number}");
        let frames =
            |path: &Path| tshark(path, "frame", &["frame.time_epoch", "ip.id", "frame.len"]).unwrap();
        let (all, written) = (frames(file.path()), frames(path));
        assert_eq!(all.len(), written.len());
        assert_eq!(all.iter().collect::<BTreeSet<_>>(), written.iter().collect());
        for more in [&["--workers", "2"][..], &["--workers", "8", "-M", "throughput"]] {
            let other = Run::of(file.path(), more);
            assert!(other.files == run.files && other.records_without_paths() == run.records_without_paths());
        }
    }
}

#[test]
fn a_filter_asks_for_what_is_inside() {
    let file = call(|_| ());
    for (filter, messages) in [
        ("udp port 5060", 3),
        ("host 192.0.2.1", 3),
        ("host 198.51.100.1", 3),
        ("port 9", 0),
        ("host 192.0.2.9", 0),
    ] {
        let run = Run::of(file.path(), &["-f", filter]);
        assert_eq!(run.number("/sip/messages"), messages, "{filter}");
    }
}

/// RFC 3261 17.1.1.2, 17.2.1: an INVITE is sent again after T1 and answered again, 210 ms after the first answer. The packets in the
/// tunnel are not numbered (RFC 6864 4.1); those around it are, or are not.
#[test]
fn what_is_sent_again_in_a_tunnel_was_not_captured_again() {
    let messages = refused_call(b"in-a-tunnel", "a", 0);
    let inner = messages.map(|message| {
        let mut packet = message.frame[14..].to_vec();
        packet[4..6].fill(0);
        packet[10..12].fill(0);
        let sum = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    });
    for is_numbered in [true, false] {
        let frames: Vec<(u32, Vec<u8>)> = [(0, 0), (300, 1), (500, 0), (510, 1), (600, 2)]
            .into_iter()
            .zip(5_000..)
            .map(|((time, message), number): ((u32, usize), u16)| {
                let packet = tunnelled(&inner[message], if is_numbered { number } else { 0 });
                (time, [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &packet].concat())
            })
            .collect();
        for skew in [None, Some(50), Some(150)].into_iter().filter(|skew| is_numbered || skew.is_none()) {
            let again = skew.into_iter().flat_map(|skew| frames.iter().map(move |it| (it.0 + skew, &it.1)));
            let mut all: Vec<_> = frames.iter().map(|it| (it.0, &it.1)).chain(again).collect();
            all.sort_by_key(|it| it.0);
            let packets = all.into_iter().map(|(time, frame)| at(time, frame.clone())).collect();
            let mut file = NamedTempFile::new().unwrap();
            file.write_all(&ethernet(packets).bytes()).unwrap();
            let run = Run::of(file.path(), &[]);
            let told = ["messages", "retransmissions", "duplicates"].map(|key| &run.records[0][key]);
            let duplicates = if skew.is_some() { 5 } else { 0 };
            assert_eq!(told, [5, 2, duplicates], "{is_numbered} {skew:?}");
        }
    }
}
