//! Traffic that is no telephony: DNS, web pages and uploads, TLS, datagrams of unknown kind, ARP.

use std::io;
use std::net::IpAddr;

use super::frame::{ACK, Endpoint, FIN, PSH, SYN, Segment};
use super::network::Network;
use super::profile::{Link, Noise};
use super::rng::Rng;
use super::script::MILLISECOND;

/// Connections at once.
const FLOWS: usize = 256;
/// The bytes of a full segment.
const FULL: usize = 1_428;
/// The least bytes of a segment that begins a transfer: its headers fit.
const BEGINNING: usize = 400;

/// Segments of a transfer that was under way before the capture, about.
const LONG: usize = 20_000;

/// A dialog that an application might write to its log server.
const QUOTED: &str = "INVITE sip:quoted@203.0.113.9 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.8:5060;branch=z9hG4bKquote\r\n\
    From: <sip:a@example.org>;tag=q\r\nTo: <sip:quoted@example.org>\r\nCall-ID: quoted@203.0.113.8\r\n\
    CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";

/// Makes one packet at a time.
pub(crate) struct Crowd {
    rng: Rng,
    quotes: bool,
    arp: bool,
    flows: Vec<Flow>,
    bytes: Vec<u8>,
    hosts: u64,
    /// An answer that is owed to the DNS client asked last.
    question: Option<(Endpoint, Endpoint, u16)>,
}

struct Flow {
    ends: [Endpoint; 2],
    next: [u32; 2],
    tls: bool,
    uploads: bool,
    stage: Stage,
    /// The bytes of each data segment that is still to come, the next one last.
    segments: Vec<usize>,
    begins: bool,
}

impl Flow {
    /// Its beginning was before the capture.
    fn join(&mut self) {
        (self.stage, self.begins, self.uploads) = (Stage::Data, false, false);
        let sizes = self.segments.clone();
        self.segments.extend(sizes.iter().cycle().take(LONG));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Syn,
    SynAck,
    Established,
    Request,
    Data,
    Acknowledge,
    Fin,
    FinBack,
}

impl Crowd {
    pub(crate) fn new(seed: u64, noise: &Noise, link: Link) -> Self {
        let mut rng = Rng::new(seed ^ 0x6e6f_6973);
        let mut bytes = vec![0; 65_536];
        rng.fill(&mut bytes);
        let (quotes, arp) = (noise.noise_sip_text, link != Link::Raw);
        let mut crowd = Self { rng, quotes, arp, flows: Vec::new(), bytes, hosts: 0, question: None };
        crowd.flows = (0..FLOWS).map(|_| crowd.new_flow()).collect();
        let joined = (FLOWS as f64 * noise.noise_joined) as usize;
        crowd.flows.iter_mut().take(joined).for_each(Flow::join);
        crowd
    }

    /// Sends one packet.
    pub(crate) fn packet(&mut self, at: u64, network: &mut Network<'_>) -> io::Result<()> {
        network.ledger.noise.packets += 1;
        match self.rng.below(100) {
            0 if self.arp => {
                network.ledger.noise.arp += 1;
                let (from, to) = (self.host(), self.host());
                network.arp(at, from, to).map(|_| ())
            }
            0..=9 => self.dns(at, network),
            10..=19 => self.unknown(at, network),
            _ => self.tcp(at, network),
        }
    }

    fn new_flow(&mut self) -> Flow {
        let tls = self.rng.share(0.65);
        let server = Endpoint { ip: self.address(203), port: if tls { 443 } else { 80 } };
        let mut segments: Vec<usize> = (0..self.rng.between(1, 200)).map(|_| self.size()).collect();
        if let Some(first) = segments.last_mut() {
            *first = (*first).max(BEGINNING);
        }
        Flow {
            ends: [self.host(), server],
            next: [self.rng.next() as u32, self.rng.next() as u32],
            tls,
            uploads: self.rng.share(0.2),
            stage: Stage::Syn,
            segments,
            begins: true,
        }
    }

    /// Bytes of a payload. With the bare acknowledgements and DNS, which are small, frames of about 64, 576 and 1,500
    /// bytes come as 7 : 4 : 1, the simple mix that Internet exchanges are imitated with.
    fn size(&mut self) -> usize {
        match self.rng.below(8) {
            0..=2 => self.rng.between(1, 24) as usize,
            3..=6 => self.rng.between(BEGINNING as u64, 620) as usize,
            _ => FULL,
        }
    }

    fn address(&mut self, first: u8) -> IpAddr {
        let [.., a, b] = self.rng.next().to_be_bytes();
        IpAddr::from([first, 16, a, b])
    }

    /// A client in a range that no telephone uses, at a port that it does not use again soon.
    fn host(&mut self) -> Endpoint {
        self.hosts += 1;
        Endpoint { ip: self.address(172), port: 20_000 + (self.hosts * 7 % 40_000) as u16 }
    }

    fn dns(&mut self, at: u64, network: &mut Network<'_>) -> io::Result<()> {
        network.ledger.noise.dns += 1;
        let mut message = Vec::with_capacity(64);
        let name = b"\x03www\x07example\x03org\x00\x00\x01\x00\x01";
        if let Some((client, server, id)) = self.question.take() {
            message.extend_from_slice(&id.to_be_bytes());
            message.extend_from_slice(b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00");
            message.extend_from_slice(name);
            message.extend_from_slice(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xcb\x00\x71\x07");
            return network.datagram(at, server, client, &message).map(|_| ());
        }
        let (client, id) = (self.host(), self.rng.next() as u16);
        let server = Endpoint { ip: IpAddr::from([203, 0, 113, 53]), port: 53 };
        message.extend_from_slice(&id.to_be_bytes());
        message.extend_from_slice(b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00");
        message.extend_from_slice(name);
        self.question = Some((client, server, id));
        network.datagram(at, client, server, &message).map(|_| ())
    }

    fn unknown(&mut self, at: u64, network: &mut Network<'_>) -> io::Result<()> {
        network.ledger.noise.udp += 1;
        let (from, to) = (self.host(), self.host());
        let length = self.size();
        let place = self.rng.index(self.bytes.len() - length);
        network.datagram(at, from, to, &self.bytes[place..place + length]).map(|_| ())
    }

    fn tcp(&mut self, at: u64, network: &mut Network<'_>) -> io::Result<()> {
        let index = self.rng.index(FLOWS);
        let tls = self.flows[index].tls;
        let counted = &mut network.ledger.noise;
        *(if tls { &mut counted.tls } else { &mut counted.http }) += 1;
        let sender = usize::from(self.flows[index].uploads);
        match self.flows[index].stage {
            Stage::Syn => self.send(at, network, index, (0, SYN, b"", Stage::SynAck)),
            Stage::SynAck => self.send(at, network, index, (1, SYN | ACK, b"", Stage::Established)),
            Stage::Established => self.send(at, network, index, (0, ACK, b"", Stage::Request)),
            Stage::Request => {
                let request = self.request(index, network);
                self.send(at, network, index, (0, PSH | ACK, &request, Stage::Data))
            }
            Stage::Data => {
                let data = self.data(index);
                let stage = match self.flows[index].segments.len() {
                    0 => Stage::Fin,
                    left if left % 3 == 0 => Stage::Acknowledge,
                    _ => Stage::Data,
                };
                self.send(at, network, index, (1 - sender, ACK, &data, stage))
            }
            Stage::Acknowledge => self.send(at, network, index, (sender, ACK, b"", Stage::Data)),
            Stage::Fin => self.send(at, network, index, (0, FIN | ACK, b"", Stage::FinBack)),
            Stage::FinBack => {
                self.send(at, network, index, (1, FIN | ACK, b"", Stage::Syn))?;
                self.flows[index] = self.new_flow();
                Ok(())
            }
        }
    }

    fn send(
        &mut self,
        at: u64,
        network: &mut Network<'_>,
        index: usize,
        (side, flags, data, stage): (usize, u8, &[u8], Stage),
    ) -> io::Result<()> {
        let flow = &mut self.flows[index];
        let ack = if flags & ACK == 0 { 0 } else { flow.next[1 - side] };
        let segment = Segment { seq: flow.next[side], ack, flags, clock: (at / MILLISECOND) as u32 };
        let consumed = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        flow.next[side] = flow.next[side].wrapping_add(consumed);
        flow.stage = stage;
        network.segment(at, [flow.ends[side], flow.ends[1 - side]], &segment, data).map(|_| ())
    }

    /// The first bytes of a client.
    fn request(&mut self, index: usize, network: &mut Network<'_>) -> Vec<u8> {
        let flow = &self.flows[index];
        if flow.tls {
            return client_hello(&self.bytes[..32]);
        }
        let length: usize = flow.segments.iter().sum();
        if !flow.uploads {
            return b"GET /page HTTP/1.1\r\nHost: www.example.org\r\nAccept: */*\r\n\r\n".to_vec();
        }
        if self.quotes {
            network.ledger.noise.quoted_sip += 1;
        }
        format!("POST /log HTTP/1.1\r\nHost: www.example.org\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes()
    }

    /// The next segment of a transfer.
    fn data(&mut self, index: usize) -> Vec<u8> {
        let flow = &mut self.flows[index];
        let total: usize = flow.segments.iter().sum();
        let size = flow.segments.pop().unwrap_or(0);
        let begins = std::mem::take(&mut flow.begins);
        let place = self.rng.index(self.bytes.len() - size);
        let random = &self.bytes[place..place + size];
        if flow.tls {
            return tls_record(23, random);
        }
        let mut data = Vec::with_capacity(size);
        if begins && !flow.uploads {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ";
            let length = total - head.len() - 12;
            data.extend_from_slice(format!("{head}{length:08}\r\n\r\n").as_bytes());
        }
        if flow.uploads && self.quotes {
            while data.len() + QUOTED.len() <= size {
                data.extend_from_slice(QUOTED.as_bytes());
            }
        }
        let have = data.len();
        data.extend_from_slice(&random[have..]);
        data
    }
}

/// The smallest ClientHello of RFC 8446 4.1.2.
fn client_hello(random: &[u8]) -> Vec<u8> {
    let mut hello = vec![1, 0, 0, 43, 3, 3];
    hello.extend_from_slice(random);
    hello.extend_from_slice(&[0, 0, 2, 0x13, 0x01, 1, 0, 0, 0]);
    tls_record(22, &hello)
}

fn tls_record(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    record.extend_from_slice(payload);
    record
}
