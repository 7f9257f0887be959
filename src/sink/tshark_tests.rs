//! What another program reads in the files: tshark, where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::capture::LinkType;
use crate::flow::{Address, Endpoint};
use crate::sink::{CallFiles, FileFormat, FileKey, FileSettings, FrameInfo, StreamPiece};
use crate::sip::{Share, SipTransport};
use crate::time::Timestamp;

const LINKS: [LinkType; 5] =
    [LinkType::ETHERNET, LinkType::LINUX_SLL, LinkType::LINUX_SLL2, LinkType::RAW, LinkType::NULL];

/// The values of `field` in the packets of `file` that `filter` lets through; none when tshark is not installed.
fn tshark(file: &Path, filter: &str, field: &str) -> Option<Vec<String>> {
    let checks = ["tcp.check_checksum", "ip.check_checksum", "udp.check_checksum", "sctp.checksum"];
    let mut command = Command::new("tshark");
    for (check, value) in checks.iter().zip(["TRUE", "TRUE", "TRUE", "crc-32c"]) {
        command.arg("-o").arg(format!("{check}:{value}"));
    }
    let output = match command.arg("-r").arg(file).args(["-Y", filter, "-T", "fields", "-e", field]).output()
    {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("tshark is not installed: skipped");
            return None;
        }
        output => output.unwrap(),
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn endpoint(last: u8, port: u16, v6: bool) -> Endpoint {
    let v6_address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    Endpoint::new(if v6 { Address::v6(v6_address) } else { Address::v4([192, 0, 2, last]) }, port)
}

fn message(number: usize, body: usize) -> Vec<u8> {
    format!(
        "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{number}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\n\
         Call-ID: one@192.0.2.1\r\nCSeq: {number} MESSAGE\r\nContent-Type: text/plain\r\n\
         Content-Length: {body}\r\n\r\n{}",
        "x".repeat(body)
    )
    .into_bytes()
}

/// One conversation of 40 messages, in both directions, of all sizes, cut into shares of all sizes.
struct Conversation {
    transport: SipTransport,
    link: LinkType,
    link_header: &'static [u8],
    v6: bool,
    port: u16,
    sizes: &'static [usize],
}

impl Default for Conversation {
    fn default() -> Self {
        Self {
            transport: SipTransport::Tcp,
            link: LinkType::ETHERNET,
            link_header: &[],
            v6: false,
            port: 5060,
            sizes: &[0, 1, 20, 333, 1_400, 5_001],
        }
    }
}

impl Conversation {
    fn write(&self, files: &mut CallFiles) {
        let (client, server) = (endpoint(1, 49_152, self.v6), endpoint(2, self.port, self.v6));
        for number in 1..=40 {
            let bytes = message(number, self.sizes[number % self.sizes.len()]);
            let (source, destination) = if number % 3 == 0 { (server, client) } else { (client, server) };
            let at = |step: usize| Timestamp::new(1_700_000_000 + number as u64, step as u32 * 1_000);
            let share = 1 + number * number * 3;
            let count = bytes.len().div_ceil(share);
            let shares: Vec<Share> = (0..count)
                .map(|step| Share {
                    timestamp: at(step),
                    length: share.min(bytes.len() - step * share) as u32,
                })
                .collect();
            files.stream(
                FileKey(0),
                &StreamPiece {
                    source,
                    destination,
                    transport: self.transport,
                    timestamp: at(count - 1),
                    nanosecond: false,
                    link: self.link,
                    link_header: self.link_header,
                    shares: &shares,
                    bytes: &bytes,
                    missing: 0,
                },
            );
        }
    }

    /// The file of this conversation alone.
    fn file(&self, directory: &Path, format: FileFormat) -> PathBuf {
        written(directory, format, |files| self.write(files))
    }
}

fn written(directory: &Path, format: FileFormat, write: impl FnOnce(&mut CallFiles)) -> PathBuf {
    let settings = FileSettings { directory: directory.to_owned(), format, ..FileSettings::default() };
    let mut files = CallFiles::new(settings).unwrap();
    files.open(FileKey(0), true, |name| name.push_str("call.pcap"));
    write(&mut files);
    files.finish();
    assert_eq!(files.counters().frames_unwritable, 0);
    directory.join("call.pcap")
}

const FAULTS: &str = "tcp.analysis.flags || _ws.malformed || ip.checksum.status == \"Bad\" || \
    tcp.checksum.status == \"Bad\" || udp.checksum.status == \"Bad\" || sctp.checksum.status == \"Bad\" || \
    _ws.expert.severity >= 0x600000 || !(sip || http || tcp || sctp || udp)";

/// tshark finds these 40 messages in their order, and nothing to complain about.
fn assert_whole(file: &Path, what: &str) {
    let Some(faults) = tshark(file, FAULTS, "_ws.expert.message") else { return };
    assert_eq!(faults, Vec::<String>::new(), "{what}");
    let numbers: Vec<String> = tshark(file, "sip", "sip.CSeq.seq")
        .unwrap()
        .iter()
        .flat_map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(numbers, (1..=40).map(|number| number.to_string()).collect::<Vec<_>>(), "{what}");
}

/// A message that was cut is to a reader a packet that the snap length cut; those around it are whole.
#[test]
fn a_message_that_was_cut_stays_one() {
    for (transport, port) in [(SipTransport::Tcp, 5060), (SipTransport::Ws, 80)] {
        let directory = tempfile::tempdir().unwrap();
        let file = written(directory.path(), FileFormat::Pcap, |files| {
            for number in 1..=9 {
                let bytes = message(number, 3_000);
                let (client, server) = (endpoint(1, 49_152, false), endpoint(2, port, false));
                let (source, destination) = if number % 2 == 0 { (server, client) } else { (client, server) };
                // Some of the body, one byte, all of it and some of the head; more than a packet has room for.
                let missing = [0, 0, 1_000, 1, 0, 3_040, 0, 4_000_000, 0, 0][number];
                let kept = bytes.len() - missing.min(3_040);
                let piece = StreamPiece {
                    source,
                    destination,
                    transport,
                    timestamp: Timestamp::new(1_700_000_000 + number as u64, 0),
                    nanosecond: false,
                    link: LinkType::ETHERNET,
                    link_header: &[],
                    shares: &[],
                    bytes: &bytes[..kept],
                    missing: missing as u32,
                };
                files.stream(FileKey(0), &piece);
            }
        });
        let Some(faults) = tshark(&file, FAULTS, "_ws.expert.message") else { return };
        assert_eq!(faults, Vec::<String>::new());
        let cut = tshark(&file, "frame.len > frame.cap_len", "frame.time_epoch").unwrap();
        assert_eq!(cut.len(), 4, "{cut:?}");
        let whole = tshark(&file, "sip && frame.len == frame.cap_len", "sip.CSeq.seq").unwrap();
        assert_eq!(whole, ["1", "4", "6", "8", "9"], "{transport:?}");
        if transport == SipTransport::Tcp {
            assert_eq!(tshark(&file, "sip.Method", "frame.number").unwrap().len(), 9);
        }
    }
}

#[test]
fn streams_are_whole_on_every_link_type() {
    for link in LINKS {
        for v6 in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let file =
                Conversation { link, v6, ..Conversation::default() }.file(directory.path(), FileFormat::Pcap);
            assert_whole(&file, &format!("{link:?} v6 {v6}"));
            let Some(sums) = tshark(&file, "tcp.checksum.status == \"Good\"", "frame.number") else { return };
            assert_eq!(sums.len(), tshark(&file, "tcp", "frame.number").unwrap().len());
        }
    }
}

#[test]
fn websocket_and_sctp_are_whole() {
    for (transport, port) in [(SipTransport::Ws, 8080), (SipTransport::Wss, 5066), (SipTransport::Sctp, 5060)]
    {
        for v6 in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let conversation = Conversation { transport, port, v6, ..Conversation::default() };
            let file = conversation.file(directory.path(), FileFormat::Pcap);
            assert_whole(&file, &format!("{transport:?} v6 {v6}"));
            let (filter, expected) = if transport == SipTransport::Sctp {
                ("sctp.checksum.status == \"Good\"", 40)
            } else {
                ("websocket", 40)
            };
            let Some(found) = tshark(&file, filter, "frame.number") else { return };
            assert!(found.len() >= expected, "{transport:?} {}", found.len());
        }
    }
}

#[test]
fn messages_longer_than_a_packet_are_split() {
    for transport in [SipTransport::Tcp, SipTransport::Sctp] {
        let directory = tempfile::tempdir().unwrap();
        let conversation =
            Conversation { transport, sizes: &[65_000, 70_000, 65_484, 200_001], ..Conversation::default() };
        let file = written(directory.path(), FileFormat::Pcap, |files| {
            let bytes = message(1, 200_001);
            let piece = StreamPiece {
                source: endpoint(1, 49_152, false),
                destination: endpoint(2, 5060, false),
                transport,
                timestamp: Timestamp::new(1, 0),
                nanosecond: false,
                link: conversation.link,
                link_header: &[],
                shares: &[],
                bytes: &bytes,
                missing: 0,
            };
            files.stream(FileKey(0), &piece);
        });
        let Some(faults) = tshark(&file, FAULTS, "_ws.expert.message") else { return };
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(tshark(&file, "sip", "sip.CSeq.seq").unwrap(), ["1"], "{transport:?}");
        assert_eq!(tshark(&file, "frame", "frame.number").unwrap().len(), 4);
    }
}

#[test]
fn a_captured_link_header_stays_unless_it_is_of_the_other_family() {
    let tagged: &[u8] = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x81\0\0\x2a\x08\0";
    for (v6, vlans) in [(false, 40), (true, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let conversation = Conversation { link_header: tagged, v6, sizes: &[0], ..Conversation::default() };
        let file = conversation.file(directory.path(), FileFormat::Pcap);
        assert_whole(&file, "tagged");
        let Some(found) = tshark(&file, "vlan.id == 42 && sip", "frame.number") else { return };
        assert_eq!(found.len(), vlans);
    }
}

/// A UDP datagram with a message, behind whatever header `link` has.
fn datagram(link: LinkType, v6: bool, number: usize) -> Vec<u8> {
    let mut bytes = match link {
        LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => Vec::new(),
        LinkType::PPP_ETHER if v6 => b"\x11\0\0\x09\x01\xff\0\x57".to_vec(),
        LinkType::PPP_ETHER => b"\x11\0\0\x09\x01\xff\0\x21".to_vec(),
        _ => crate::sink::link::made_up(link, v6).unwrap().to_vec(),
    };
    let route =
        crate::sink::packet::Route { source: endpoint(1, 5060, v6), destination: endpoint(2, 5060, v6) };
    let header = bytes.len();
    route.udp(&mut bytes, &message(number, 10));
    if link == LinkType::PPP_ETHER {
        let length = (bytes.len() - header + 2) as u16;
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
    }
    bytes
}

fn captured(link: LinkType, number: usize, length: usize) -> FrameInfo {
    FrameInfo {
        timestamp: Timestamp::new(1_700_000_000, number as u32 * 1_000 + 7),
        nanosecond: false,
        link,
        original: length as u32,
    }
}

/// Every link type that is decoded.
const DECODED: [LinkType; 14] = [
    LinkType::NULL,
    LinkType::ETHERNET,
    LinkType::PPP,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::PPP_HDLC,
    LinkType::PPP_ETHER,
    LinkType::RAW,
    LinkType::C_HDLC,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
];

/// Whatever link type came first: the file takes datagrams and stream messages of every other, of both families.
#[test]
fn every_link_type_comes_first_and_after_every_other() {
    for first in DECODED {
        let directory = tempfile::tempdir().unwrap();
        let file = written(directory.path(), FileFormat::Pcap, |files| {
            let (mut number, mut others) = (1, [first].into_iter().chain(DECODED).cycle());
            while number <= 40 {
                let link = others.next().unwrap();
                // Streams first in no file: they are not what binds it.
                let (v6, stream) = match link {
                    LinkType::IPV4 => (false, number % 4 == 3),
                    LinkType::IPV6 => (true, number % 4 == 3),
                    _ => (number % 2 == 0, number % 3 == 0),
                };
                if stream {
                    let piece = StreamPiece {
                        source: endpoint(1, 49_152, v6),
                        destination: endpoint(2, 5060, v6),
                        transport: SipTransport::Tcp,
                        timestamp: captured(link, number, 0).timestamp,
                        nanosecond: false,
                        link,
                        link_header: &[],
                        shares: &[],
                        bytes: &message(number, 20),
                        missing: 0,
                    };
                    files.stream(FileKey(0), &piece);
                } else {
                    let bytes = datagram(link, v6, number);
                    files.frame(FileKey(0), &captured(link, number, bytes.len()), &bytes);
                }
                number += 1;
            }
        });
        assert_whole(&file, &format!("{first:?}"));
    }
}

#[test]
fn mixed_link_types_in_either_format() {
    for (format, link_types) in [(FileFormat::Pcap, 1), (FileFormat::PcapNg, 10)] {
        let directory = tempfile::tempdir().unwrap();
        let file = written(directory.path(), format, |files| {
            for number in 1..=40 {
                let link = LINKS[number % LINKS.len()];
                let bytes = datagram(link, false, number);
                let info = FrameInfo {
                    timestamp: Timestamp::new(1_700_000_000, number as u32 * 1_000 + 7),
                    nanosecond: number > 20,
                    link,
                    original: bytes.len() as u32,
                };
                files.frame(FileKey(0), &info, &bytes);
            }
        });
        assert_whole(&file, &format!("{format:?}"));
        let Some(times) = tshark(&file, "frame", "frame.time_epoch") else { return };
        let expected =
            if format == FileFormat::PcapNg { "1700000000.000040007" } else { "1700000000.000040000" };
        assert_eq!(times.last().map(String::as_str), Some(expected));
        let mut interfaces = tshark(&file, "frame", "frame.interface_id").unwrap();
        interfaces.sort();
        interfaces.dedup();
        assert_eq!(interfaces.len(), link_types, "{interfaces:?}");
    }
}

#[test]
fn frames_and_streams_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = written(directory.path(), FileFormat::Pcap, |files| {
        let bytes = datagram(LinkType::RAW, false, 1);
        let info = FrameInfo {
            timestamp: Timestamp::new(1, 0),
            nanosecond: false,
            link: LinkType::RAW,
            original: bytes.len() as u32,
        };
        files.frame(FileKey(0), &info, &bytes);
        // Captured on Ethernet; the file is bound to raw IP by now.
        Conversation::default().write(files);
    });
    let Some(faults) = tshark(&file, FAULTS, "_ws.expert.message") else { return };
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(tshark(&file, "sip && udp", "frame.number").unwrap(), ["1"]);
}
