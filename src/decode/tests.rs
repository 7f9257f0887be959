//! Packets written by hand for the layers' tests, and what holds for all layers together.

use etherparse::{LaxSlicedPacket, PacketBuilder, TransportSlice};
use proptest::prelude::*;

use super::*;
use crate::capture::Packet;
use crate::flow::{Address, Endpoint};

/// What the test packets carry.
pub(super) const PAYLOAD: &[u8] = b"OPTIONS";

/// A UDP header (RFC 768) and its payload.
pub(super) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap();
    let mut bytes = Vec::new();
    for field in [source, destination, length, 0] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// An IPv4 header (RFC 791 3.1) from 192.0.2.1 to 192.0.2.2 and its payload.
pub(super) fn v4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(payload.len() + 20).unwrap().to_be_bytes();
    let mut bytes = vec![0x45, 0, total[0], total[1], 0, 1, 0x40, 0, 64, protocol, 0, 0];
    bytes.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    bytes.extend(payload);
    bytes
}

/// An IPv6 header (RFC 8200 3) from 2001:db8::1 to 2001:db8::2 and its payload.
pub(super) fn v6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    for last in [1, 2] {
        bytes.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    bytes.extend(payload);
    bytes
}

/// The plain test packet: IPv4, UDP, port 5060 to 5070.
pub(super) fn packet4() -> Vec<u8> {
    v4(17, &udp(5060, 5070, PAYLOAD))
}

/// The same in IPv6.
pub(super) fn packet6() -> Vec<u8> {
    v6(17, &udp(5060, 5070, PAYLOAD))
}

/// An Ethernet header before `payload`.
pub(super) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    bytes.extend(ether_type.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(super) fn unit(link: LinkType, frame: &[u8]) -> Unit {
    match decode(link, frame) {
        Ok(Decoded::Unit(unit)) => unit,
        other => panic!("not a unit: {other:?}"),
    }
}

pub(super) fn error(link: LinkType, frame: &[u8]) -> &'static str {
    decode(link, frame).map_or_else(DecodeError::name, |decoded| panic!("no error: {decoded:?}"))
}

pub(super) fn payload<'a>(unit: &Unit, frame: &'a [u8]) -> &'a [u8] {
    &frame[unit.start as usize..][..unit.length as usize]
}

/// The frame ends in the test packet of either family, and decodes to it.
pub(super) fn finds(link: LinkType, frame: &[u8], tunnelled: bool) {
    let unit = unit(link, frame);
    assert_eq!(payload(&unit, frame), PAYLOAD);
    let header = frame[unit.network as usize];
    let prefix = if header == 0x60 { "[2001:db8::" } else { "192.0.2." };
    let close = if header == 0x60 { "]" } else { "" };
    assert_eq!(unit.source.to_string(), format!("{prefix}1{close}:5060"));
    assert_eq!(unit.destination.to_string(), format!("{prefix}2{close}:5070"));
    assert_eq!((unit.transport, unit.missing, unit.tunnelled), (Transport::Udp, 0, tunnelled));
}

/// The inner packet is found in `carrier` inside IPv4 with this protocol.
pub(super) fn finds_in(protocol: u8, carrier: &[u8]) {
    finds(LinkType::RAW, &v4(protocol, carrier), true);
}

const LINKS: [u16; 16] = [0, 1, 9, 12, 14, 50, 51, 101, 108, 113, 228, 229, 276, 105, 127, 65_535];

/// Everything that decodes lies inside its buffer.
fn check_ranges(decoded: Result<Decoded, DecodeError>, length: usize) {
    let (start, there, network) = match decoded {
        Ok(Decoded::Unit(unit)) => (unit.start, unit.length, unit.network),
        Ok(Decoded::Fragment(piece)) => (piece.start, piece.length, piece.network),
        Ok(Decoded::NonIp) | Err(_) => return,
    };
    assert!(start as usize + there as usize <= length && network as usize <= length);
}

fn general(link: LinkType, frame: &[u8]) -> Result<Decoded, DecodeError> {
    let decoded = decode_any(link, frame);
    assert_eq!(decode(link, frame), decoded, "the plain path differs for {frame:02x?}");
    check_ranges(decoded, frame.len());
    decoded
}

/// Ethernet, QinQ, MPLS, IPv6, extension header, UDP, Geneve, Ethernet, IPv4, GRE, PPP, IPv4, UDP.
fn deep() -> Vec<u8> {
    let mut ppp = vec![0x30, 0x01, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 0x03, 0x21];
    ppp.extend(packet4());
    let mut geneve = vec![1, 0, 0x65, 0x58, 0, 0, 1, 0, 9, 9, 9, 0];
    geneve.extend(ethernet(0x0800, &v4(47, &ppp)));
    let mut extension = vec![17, 0, 1, 4, 0, 0, 0, 0];
    extension.extend(udp(40_000, 6081, &geneve));
    let mut tags = vec![0, 1, 0x81, 0, 0, 2, 0x88, 0x47, 0, 1, 0, 64, 0, 1, 1, 64];
    tags.extend(v6(60, &extension));
    ethernet(0x88a8, &tags)
}

#[test]
fn a_deep_packet_and_all_its_beginnings() {
    let frame = deep();
    finds(LinkType::ETHERNET, &frame, true);
    for end in 0..frame.len() {
        match general(LinkType::ETHERNET, &frame[..end]) {
            Ok(Decoded::Unit(unit)) => {
                let announced = (unit.length + unit.missing) as usize;
                assert_eq!(frame.len() - end, unit.missing as usize);
                // The port alone makes no tunnel: its header has to be there.
                assert!(announced == PAYLOAD.len() || (announced > PAYLOAD.len() && unit.length < 8));
            }
            Err(error) => assert_eq!(error.fault, Fault::Truncated, "cut at {end}"),
            // What is not there is not IP either: below the label stack, and PPP's first byte alone.
            Ok(Decoded::NonIp) => assert!(matches!(end, 30 | 145), "cut at {end}"),
            Ok(other) => panic!("{other:?} at {end}"),
        }
    }
}

#[test]
fn layers_are_capped() {
    let tagged = |count| {
        let mut frame = ethernet(0x8100, &[0, 1, 0x81, 0].repeat(count));
        frame.extend([0, 1, 0x08, 0]);
        frame.extend(packet4());
        frame
    };
    // Ethernet, the tags and the last one, IPv4, UDP.
    let most = usize::from(MAX_LAYERS) - 4;
    finds(LinkType::ETHERNET, &tagged(most), false);
    assert_eq!(error(LinkType::ETHERNET, &tagged(most + 1)), "udp.too_deep");
    assert_eq!(error(LinkType::ETHERNET, &tagged(1000)), "vlan.too_deep");
}

#[test]
fn a_datagram_goes_on_where_its_fragments_ended() {
    let first = Fragment {
        source: Address::v4([192, 0, 2, 1]),
        destination: Address::v4([192, 0, 2, 2]),
        identification: 7,
        protocol: 17,
        offset: 0,
        more: true,
        start: 34,
        length: 8,
        missing: 0,
        network: 14,
        depth: 2,
        tunnelled: true,
    };
    let datagram = udp(5060, 5070, PAYLOAD);
    let Ok(Decoded::Unit(unit)) = decode_datagram(&first, &datagram) else { panic!() };
    assert_eq!((unit.start, unit.length, unit.network, unit.tunnelled), (8, 7, 0, true));
    assert_eq!(unit.source, Endpoint::new(first.source, 5060));

    let cut = decode_datagram(&Fragment { missing: 3, ..first }, &datagram[..12]);
    assert!(matches!(cut, Ok(Decoded::Unit(Unit { length: 4, missing: 3, .. }))));
    let deep = decode_datagram(&Fragment { depth: MAX_LAYERS, ..first }, &datagram);
    assert_eq!(deep.unwrap_err().name(), "udp.too_deep");
    let tunnel = v4(17, &udp(5060, 5070, PAYLOAD));
    let Ok(Decoded::Unit(unit)) =
        decode_datagram(&Fragment { protocol: 4, tunnelled: false, ..first }, &tunnel)
    else {
        panic!()
    };
    assert_eq!((unit.start, unit.network, unit.tunnelled), (28, 0, true));
}

#[test]
fn unknown_link_types_are_named() {
    assert_eq!(error(LinkType(105), &[0; 64]), "link.unknown_link");
}

/// Small numbers that mean something at the places where random bytes rarely hit.
fn telling_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        prop::sample::select(vec![0, 1, 2, 4, 6, 8, 17, 0x41, 43, 44, 0x45, 47, 51, 0x60, 0x81, 0x88, 0xff])
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_break_it(link in prop::sample::select(&LINKS[..]), frame in prop::collection::vec(telling_byte(), 0..300)) {
        general(LinkType(link), &frame).ok();
    }

    #[test]
    fn no_damage_breaks_it(
        damage in prop::collection::vec((any::<prop::sample::Index>(), telling_byte()), 1..6),
        end in any::<prop::sample::Index>(),
        mut frame in prop::sample::select(vec![deep(), ethernet(0x0800, &packet4()), ethernet(0x86dd, &packet6())]),
    ) {
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        frame.truncate(end.index(frame.len() * 2));
        general(LinkType::ETHERNET, &frame).ok();
    }

    /// What is told of a packet by its front is what is told by all of it.
    #[test]
    fn a_front_agrees_with_the_packet(
        damage in prop::collection::vec((14_usize..48, telling_byte()), 0..3),
        tcp in any::<bool>(),
        ports in (any::<u16>(), any::<u16>()),
        body in prop::collection::vec(any::<u8>(), 0..40),
        padding in 0_usize..20,
        cut in 0_usize..60,
    ) {
        let mut frame = [build(false, 0, tcp.then_some(7), ports, &body), vec![0; padding]].concat();
        damage.into_iter().for_each(|(at, byte)| frame.iter_mut().skip(at).take(1).for_each(|known| *known = byte));
        frame.truncate(frame.len() - cut.min(frame.len()));
        let packet = Packet { captured: frame.len() as u32, link: LinkType::ETHERNET, ..Packet::default() };
        // What lies behind it in the arena is none of it.
        let arena = [&frame[..], &[0x41; 48]].concat();
        let Some(front) = Front::of(&packet, &arena) else { return Ok(()) };
        let decoded = general(LinkType::ETHERNET, &frame);
        let unit = match &decoded {
            Ok(Decoded::Unit(unit)) => unit,
            _ => {
                prop_assert!(front.protocol() != TCP || front.segment(&packet).is_none(), "{:?}", decoded);
                let datagram = front.datagram(&packet).filter(|(_, beginning)| !front.may_wrap(beginning[0]));
                prop_assert!(front.protocol() != UDP || datagram.is_none(), "{:?}", decoded);
                return Ok(());
            }
        };
        let ends = (front.ends().source(), front.ends().destination());
        match (front.protocol(), front.segment(&packet), front.datagram(&packet)) {
            (TCP, Some((start, length)), _) => {
                prop_assert_eq!(unit.transport, Transport::Tcp(front.fields()));
                prop_assert_eq!(front.flags(), front.fields().flags);
                prop_assert_eq!((unit.start, unit.length, unit.missing), (start, length, 0));
                prop_assert_eq!(unit.network, Front::NETWORK);
                prop_assert_eq!((unit.source, unit.destination), ends);
            }
            (UDP, _, Some((length, beginning))) if !front.may_wrap(beginning[0]) => {
                let there = (Front::DATAGRAM, length, 0);
                prop_assert_eq!((unit.transport, (unit.start, unit.length, unit.missing)), (Transport::Udp, there));
                prop_assert_eq!((unit.source, unit.destination), ends);
                prop_assert!(payload(unit, &frame).starts_with(&beginning));
            }
            _ => {}
        }
    }

    #[test]
    fn agrees_with_etherparse(
        v6 in any::<bool>(),
        tags in 0_usize..3,
        tcp in any::<bool>(),
        // Kept off the tunnels' ports, which etherparse does not look into.
        ports in (any::<u16>(), 10_000_u16..30_000),
        sequence in any::<u32>(),
        body in prop::collection::vec(3_u8..72, 0..200),
        padding in 0_usize..20,
        cut in 0_usize..120,
    ) {
        let frame = build(v6, tags, tcp.then_some(sequence), ports, &body);
        let mut frame = [frame, vec![0; padding]].concat();
        frame.truncate(frame.len() - cut.min(frame.len()));
        let decoded = general(LinkType::ETHERNET, &frame);
        let lax = LaxSlicedPacket::from_ethernet(&frame).unwrap_or_else(|_| LaxSlicedPacket {
            link: None, link_exts: Default::default(), net: None, transport: None, stop_err: None,
        });
        let Some(oracle) = lax.transport else {
            prop_assert!(decoded.is_err(), "{:?}", decoded);
            return Ok(());
        };
        let Ok(Decoded::Unit(unit)) = decoded else { panic!("{decoded:?}") };
        let found = payload(&unit, &frame);
        match oracle {
            TransportSlice::Udp(udp) => {
                prop_assert_eq!(found, udp.payload());
                prop_assert_eq!((unit.source.port, unit.destination.port), (udp.source_port(), udp.destination_port()));
                prop_assert_eq!(unit.transport, Transport::Udp);
            }
            TransportSlice::Tcp(tcp) => {
                prop_assert_eq!(found, tcp.payload());
                prop_assert_eq!((unit.source.port, unit.destination.port), (tcp.source_port(), tcp.destination_port()));
                let Transport::Tcp(header) = unit.transport else { panic!() };
                prop_assert_eq!(header.sequence, tcp.sequence_number());
                prop_assert_eq!(header.acknowledgement, tcp.acknowledgment_number());
                prop_assert_eq!(header.flags.ack(), tcp.ack());
                prop_assert_eq!(header.flags.syn(), tcp.syn());
            }
            other => panic!("{other:?}"),
        }
        prop_assert_eq!(unit.length as usize + unit.missing as usize, body.len());
    }
}

/// A packet of etherparse's making.
fn build(v6: bool, tags: usize, tcp: Option<u32>, ports: (u16, u16), body: &[u8]) -> Vec<u8> {
    let ip = if v6 {
        let (source, destination) = ([0x20; 16], [0x3f; 16]);
        etherparse::IpHeaders::Ipv6(
            etherparse::Ipv6Header { source, destination, hop_limit: 9, ..Default::default() },
            Default::default(),
        )
    } else {
        let header = etherparse::Ipv4Header::new(0, 9, 0.into(), [192, 0, 2, 1], [192, 0, 2, 2]).unwrap();
        etherparse::IpHeaders::Ipv4(header, Default::default())
    };
    let vlan = |id: u16| etherparse::VlanId::try_from(id).unwrap();
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let step = match tags {
        0 => link.ip(ip),
        1 => link.single_vlan(vlan(5)).ip(ip),
        _ => link.double_vlan(vlan(5), vlan(6)).ip(ip),
    };
    let mut bytes = Vec::new();
    match tcp {
        Some(sequence) => step.tcp(ports.0, ports.1, sequence, 999).syn().ack(77).write(&mut bytes, body),
        None => step.udp(ports.0, ports.1).write(&mut bytes, body),
    }
    .unwrap();
    bytes
}
