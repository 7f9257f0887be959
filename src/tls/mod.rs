//! TLS that carries SIP, read from outside: who shook hands with whom, what came of it, when a certificate ends.
//!
//! In: the ordered bytes of both directions of one connection ([`Handshake`]). Out: one [`Report`] per connection, as
//! soon as it is known how its handshake ended; a [`Census`] of them. What the records hold after that is encrypted and not looked at.
//!
//! - A handshake that fails says why: an alert, an end before the end, an encrypted alert where `Finished` belongs.
//! - Certificates are read up to TLS 1.2, where they are sent in the clear (RFC 5246 7.4.2); in TLS 1.3 they are not.
//! - At most [`MAX_HANDSHAKE`] bytes of a direction are held.
//!
//! Absent on purpose: decryption, and any judgement about trust.

mod census;
mod certificate;
mod handshake;
mod hello;
mod records;
mod report;

pub use census::{Census, Server};
pub use handshake::Handshake;
pub use report::{Certificate, Failure, Outcome, Report, Version};

/// The port of SIP over TLS (RFC 3261 19.1.2).
pub const SIPS_PORT: u16 = 5061;

/// Handshake bytes of one direction that are held: a long chain of certificates has 10 KiB. Attack: a handshake message
/// of 16 MiB that never ends.
pub const MAX_HANDSHAKE: usize = 64 << 10;
