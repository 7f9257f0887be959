//! A handshake, followed until it is known how it ended.

use tls_parser::{
    TlsExtension, TlsMessage, TlsMessageHandshake, TlsServerHelloContents, parse_tls_message_handshake,
    parse_tls_server_hello_extensions,
};

use super::records::{Kind, Record, Records};
use super::report::{Certificate, Failure, Outcome, Report, Version};
use super::{MAX_HANDSHAKE, certificate, hello};
use crate::flow::Direction;
use crate::reassembly::Context;

/// Length of a handshake message's header: type and 24 bits of length (RFC 8446 4).
const MESSAGE_HEADER: usize = 4;

/// What an encrypted alert of TLS 1.3 has: two bytes, the inner type, a tag of 16 bytes (RFC 8446 5.2). The shortest
/// message of a handshake, `EncryptedExtensions` without any, has four bytes more.
const ENCRYPTED_ALERT: usize = 19;

/// The handshake of one connection.
#[derive(Debug, Default)]
pub struct Handshake {
    client: Option<Direction>,
    up: Side,
    down: Side,
    version: Option<Version>,
    server_name: Option<String>,
    certificate: Option<Certificate>,
    /// The beginning was not captured.
    joined: bool,
    /// It is signalling: its port says so, or its hello.
    sip: bool,
    reported: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Side {
    records: Records,
    /// Handshake bytes whose message is not whole yet.
    messages: Vec<u8>,
    /// Anything was sent.
    spoke: bool,
    /// It said that what follows is encrypted.
    encrypting: bool,
    /// It sent something encrypted that is longer than an alert.
    proven: bool,
    ended: bool,
}

impl Handshake {
    /// A connection that begins, or that was `joined` in the middle. `sip`: its port says that it is signalling; without
    /// that, its `ClientHello` has to.
    #[must_use]
    pub fn new(joined: bool, sip: bool) -> Self {
        Self { joined, sip, ..Self::default() }
    }

    /// Whether nothing more is to be learned from this connection.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.reported
    }

    /// Lets go of what it holds and looks no further.
    pub fn give_up(&mut self) {
        *self = Self { reported: true, ..Self::default() };
    }

    /// Takes the next bytes; a report once the outcome is known.
    pub fn data(&mut self, context: &Context, bytes: &[u8]) -> Option<Report> {
        if self.reported {
            return None;
        }
        if self.joined {
            return Some(self.report(context, Outcome::Joined));
        }
        let by = context.direction;
        self.side(by).spoke = true;
        let mut records = std::mem::take(&mut self.side(by).records);
        records.push(bytes);
        let outcome = self.records(&mut records, by);
        self.side(by).records = records;
        match outcome {
            Some(outcome) if self.sip => Some(self.report(context, outcome)),
            Some(_) => {
                self.give_up();
                None
            }
            None => None,
        }
    }

    /// Bytes were lost: what follows cannot be told apart any more.
    pub fn gap(&mut self, context: &Context) -> Option<Report> {
        if self.reported || !self.sip {
            self.give_up();
            return None;
        }
        Some(self.report(context, Outcome::Unknown))
    }

    /// A direction is over.
    pub fn end(&mut self, context: &Context) -> Option<Report> {
        self.side(context.direction).ended = true;
        if self.reported || !self.sip || !(self.up.ended && self.down.ended) {
            return None;
        }
        let client = self.client?;
        let answered = self.side(client.reverse()).spoke;
        let failure = if answered { Failure::Closed } else { Failure::Unanswered };
        Some(self.report(context, Outcome::Failed(failure)))
    }

    /// Bytes allocated.
    #[must_use]
    pub fn held(&self) -> usize {
        let side = |side: &Side| side.records.held() + side.messages.capacity();
        side(&self.up) + side(&self.down)
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    fn records(&mut self, records: &mut Records, by: Direction) -> Option<Outcome> {
        loop {
            let outcome = match records.next() {
                Record::NeedMore => return None,
                Record::NotTls => Some(self.not_tls(by)),
                Record::Whole(Kind::Handshake, payload) => self.handshake(payload, by),
                Record::Whole(Kind::ChangeCipherSpec, _) => self.encrypts(by),
                Record::Whole(Kind::Alert, payload) => self.alert(payload, by),
                Record::Whole(Kind::ApplicationData, payload) => self.encrypted(payload, by),
            };
            if outcome.is_some() {
                return outcome;
            }
        }
    }

    fn not_tls(&self, by: Direction) -> Outcome {
        if self.client.is_some_and(|client| client != by) {
            Outcome::Failed(Failure::NotTls)
        } else {
            Outcome::Unknown
        }
    }

    /// Handshake messages may be split over records, and several may share one (RFC 8446 5.1).
    fn handshake(&mut self, payload: &[u8], by: Direction) -> Option<Outcome> {
        if self.side(by).encrypting && self.version != Some(Version::TLS13) {
            // `Finished`, encrypted: up to TLS 1.2 it comes as a handshake record.
            self.side(by).proven = true;
            return self.both_proven();
        }
        let mut messages = std::mem::take(&mut self.side(by).messages);
        messages.extend_from_slice(payload);
        let mut at = 0;
        while let Some(&[_, high, middle, low]) = messages.get(at..at + MESSAGE_HEADER) {
            let length =
                MESSAGE_HEADER + (usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low));
            if length > MAX_HANDSHAKE {
                return Some(Outcome::Unknown);
            }
            let Some(message) = messages.get(at..at + length) else { break };
            self.message(message, by);
            at += length;
        }
        messages.drain(..at);
        self.side(by).messages = messages;
        // Whoever speaks first and says nothing of SIP in a whole message is not for us.
        (at > 0 && !self.sip).then_some(Outcome::Unknown)
    }

    fn message(&mut self, message: &[u8], by: Direction) {
        let Ok((_, TlsMessage::Handshake(message))) = parse_tls_message_handshake(message) else { return };
        match message {
            TlsMessageHandshake::ClientHello(hello) => {
                let hello = hello::read(&hello);
                self.client = Some(by);
                self.sip |= hello.sip;
                self.server_name = hello.server_name;
            }
            TlsMessageHandshake::ServerHello(hello) => {
                self.client.get_or_insert(by.reverse());
                self.version = Some(version(&hello));
            }
            // The first of the chain is the server's own (RFC 5246 7.4.2).
            TlsMessageHandshake::Certificate(chain) if self.client.is_some_and(|client| client != by) => {
                let own = chain.cert_chain.first();
                self.certificate = own.and_then(|own| certificate::read(own.data));
            }
            _ => {}
        }
    }

    /// `ChangeCipherSpec`: real up to TLS 1.2, for the sake of middle boxes in 1.3 (RFC 8446 D.4).
    fn encrypts(&mut self, by: Direction) -> Option<Outcome> {
        self.side(by).encrypting = true;
        None
    }

    fn alert(&mut self, payload: &[u8], by: Direction) -> Option<Outcome> {
        let by_server = self.client.is_some_and(|client| client != by);
        if self.side(by).encrypting {
            return Some(Outcome::Failed(Failure::EncryptedAlert { by_server }));
        }
        match *payload {
            // A warning (level 1) about a name goes on; closing before the end does not (RFC 5246 7.2).
            [1, description] if description != 0 => None,
            [_, description] => Some(Outcome::Failed(Failure::Alert { description, by_server })),
            _ => Some(Outcome::Unknown),
        }
    }

    /// An encrypted record. In TLS 1.3 all that follows `ServerHello` is one.
    fn encrypted(&mut self, payload: &[u8], by: Direction) -> Option<Outcome> {
        if self.client.is_none() {
            return Some(Outcome::Joined);
        }
        if payload.len() == ENCRYPTED_ALERT && !self.side(by).proven {
            let by_server = self.client.is_some_and(|client| client != by);
            return Some(Outcome::Failed(Failure::EncryptedAlert { by_server }));
        }
        self.side(by).proven = true;
        self.both_proven()
    }

    fn both_proven(&self) -> Option<Outcome> {
        (self.up.proven && self.down.proven).then_some(Outcome::Established)
    }

    fn report(&mut self, context: &Context, outcome: Outcome) -> Report {
        self.reported = true;
        self.up.records = Records::default();
        self.down.records = Records::default();
        // Without a hello the higher port is the client's: servers have names.
        let guess = if context.source.port >= context.destination.port {
            context.direction
        } else {
            context.direction.reverse()
        };
        let from_client = self.client.unwrap_or(guess) == context.direction;
        let (client, server) = if from_client {
            (context.source, context.destination)
        } else {
            (context.destination, context.source)
        };
        Report {
            sequence: context.sequence,
            timestamp: context.timestamp,
            client,
            server,
            version: self.version,
            server_name: self.server_name.take(),
            outcome,
            certificate: self.certificate.take(),
        }
    }
}

/// In TLS 1.3 the version is in an extension (RFC 8446 4.2.1).
fn version(hello: &TlsServerHelloContents<'_>) -> Version {
    let extensions = parse_tls_server_hello_extensions(hello.ext.unwrap_or_default());
    let chosen = extensions.ok().and_then(|(_, extensions)| {
        extensions.into_iter().find_map(|extension| match extension {
            TlsExtension::SupportedVersions(versions) => versions.first().map(|version| version.0),
            _ => None,
        })
    });
    Version(chosen.unwrap_or(hello.version.0))
}
