//! Connections that were up before the capture began, and carry something else before they carry SIP.

use std::io::Write;

use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::support::{Run, assert_nothing_vanished, has_tshark, tshark};
use crate::wire::{at, checksum, ethernet};

/// A segment from 192.0.2.`source` to 192.0.2.`destination`, ACK and PSH set.
pub(crate) fn segment(
    (source, from): (u8, u16),
    (destination, to): (u8, u16),
    sequence: u32,
    payload: &[u8],
) -> Vec<u8> {
    let length = u16::try_from(40 + payload.len()).unwrap().to_be_bytes();
    let mut ip = vec![0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, source];
    ip.extend([192, 0, 2, destination]);
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source, 8, 0];
    frame.extend(ip);
    frame.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}

fn options(number: u32) -> Vec<u8> {
    format!(
        "OPTIONS sip:b@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{number}\r\n\
         From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:b@192.0.2.2>\r\nCall-ID: {number}@joined\r\n\
         CSeq: {number} OPTIONS\r\nSubject: {}\r\nContent-Length: 0\r\n\r\n",
        "\u{e9}".repeat(900)
    )
    .into_bytes()
}

/// Bytes in which nothing begins: no blank, no letter.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|index| 0xa0 | (index * 7 % 31) as u8).collect()
}

/// So many connections, their segments by turns: each has 150 segments of something, ten messages in three segments
/// each, and 150 more of something.
fn capture(connections: u16) -> (NamedTempFile, u64, u64) {
    let mut packets: Vec<Packet> = Vec::new();
    let streams: Vec<Vec<Vec<u8>>> = (0..u32::from(connections))
        .map(|connection| {
            let messages = (0..10).map(|number| options(connection * 100 + number));
            let cut =
                messages.flat_map(|message| message.chunks(800).map(<[u8]>::to_vec).collect::<Vec<_>>());
            let rest = || (0..150).map(|_| noise(1_000));
            rest().chain(cut).chain(rest()).collect()
        })
        .collect();
    let mut sequences = vec![1_000_000_000_u32; streams.len()];
    let (longest, mut segments) = (streams.iter().map(Vec::len).max().unwrap(), 0);
    for turn in 0..longest {
        for ((stream, sequence), port) in streams.iter().zip(&mut sequences).zip(40_000_u16..) {
            let Some(payload) = stream.get(turn) else { continue };
            segments += u64::from(payload.first() != Some(&0xa0));
            let frame = segment((1, port), (2, 4_000), *sequence, payload);
            *sequence += u32::try_from(payload.len()).unwrap();
            packets.push(at(u32::try_from(packets.len()).unwrap() / 20, frame));
        }
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&ethernet(packets).bytes()).unwrap();
    (file, u64::from(connections) * 10, segments)
}

#[test]
fn what_is_not_sip_is_counted_as_such_and_sip_behind_it_is_found() {
    let (file, messages, segments) = capture(40);
    if has_tshark() {
        let told = tshark(file.path(), "sip", &["sip.Call-ID"]);
        let witnessed = told.unwrap().iter().flatten().flat_map(|ids| ids.split(';')).count() as u64;
        assert!(witnessed <= messages, "tshark sees {witnessed}");
    }
    let alone = Run::of(file.path(), &[]);
    assert_nothing_vanished(&alone, "joined");
    assert_eq!(alone.number("/sip/messages"), messages, "{}", alone.summary);
    assert_eq!(alone.number("/sip/call_ids"), messages);
    // Every message begins where a segment does, so that all of its segments are SIP; behind the last, nobody knows for
    // a while what comes.
    assert!(alone.number("/packets_by/sip") >= segments, "{}", alone.summary["packets_by"]);
    assert!(alone.number("/packets_by/tcp_other") >= 40 * 150, "{}", alone.summary["packets_by"]);
    for more in [&["--workers", "1"][..], &["--workers", "2"], &["--workers", "8", "-M", "throughput"]] {
        let run = Run::of(file.path(), more);
        assert_eq!(run.summary["packets_by"], alone.summary["packets_by"], "{more:?}");
        assert!(run.files == alone.files && run.records_without_paths() == alone.records_without_paths());
    }
}

#[test]
fn a_capture_without_sip_has_no_sip_packets() {
    let packets =
        (0..300_u32).map(|number| at(number, segment((1, 40_000), (2, 4_000), number * 500, &noise(500))));
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&ethernet(packets.collect()).bytes()).unwrap();
    let run = Run::of(file.path(), &[]);
    assert_eq!((run.number("/packets_by/sip"), run.number("/packets_by/tcp_other")), (0, 300));
    assert_eq!(run.number("/tcp/midstream"), 1);
}

/// A connection that is not SIP ends, and a moment later another between the same ports is, whose SYN was lost.
#[test]
fn sip_behind_the_end_of_something_else_is_found_in_any_batch() {
    for (end, name) in [(0x11, "FIN"), (0x14, "RST")] {
        let with = |flags: u8, sequence, payload: &[u8]| {
            let mut frame = segment((1, 40_000), (2, 5_060), sequence, payload);
            frame[47] = flags;
            frame
        };
        let (one, other) = (options(1), options(2));
        let behind = 50_000 + u32::try_from(one.len()).unwrap();
        let packets = vec![
            at(0, with(0x02, 99, b"")),
            at(1, with(0x18, 100, b"SSH-2.0-x\r\n")),
            at(2, with(0x18, 111, b"and so on")),
            at(3, with(0x18, 120, b"and so on")),
            at(4, with(end, 129, b"")),
            at(300, with(0x18, 50_000, &one)),
            at(400, with(0x18, behind, &other)),
        ];
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&ethernet(packets).bytes()).unwrap();
        if has_tshark() {
            assert_eq!(tshark(file.path(), "sip.Call-ID", &["sip.Call-ID"]).unwrap().len(), 2, "{name}");
        }
        for size in ["1", "2", "5", "100"] {
            let run = Run::of(file.path(), &["--batch-size", size]);
            assert_eq!(run.number("/sip/messages"), 2, "{name}, batches of {size}");
            assert_eq!(run.number("/packets_by/tcp_other"), 5, "{name}, batches of {size}");
        }
    }
}
