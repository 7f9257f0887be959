//! What is known of TLS that carries SIP, over a run: counts, and a line for each server.

use std::collections::BTreeMap;

use super::report::{Certificate, Failure, Outcome, Report, Version};
use crate::flow::Endpoint;
use crate::time::Timestamp;

/// Servers that are told apart; of more, only the counts are kept. Attack: handshakes with random addresses.
const MAX_SERVERS: usize = 256;

/// Counts of connections, and the servers they went to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Connections.
    pub connections: u64,
    /// Of these, those whose handshake went well.
    pub established: u64,
    /// Those that were up before the capture.
    pub joined: u64,
    /// Those of whose handshake too much is missing.
    pub unknown: u64,
    /// Those whose handshake failed, by [`Failure::name`].
    pub failed: BTreeMap<&'static str, u64>,
    /// By server, the first 256 of them.
    pub servers: BTreeMap<Endpoint, Server>,
}

/// A server that is asked for SIP over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Connections to it.
    pub connections: u64,
    /// Of these, those whose handshake failed.
    pub failed: u64,
    /// When and why the last one failed.
    pub last_failure: Option<(Timestamp, Failure)>,
    /// The version that the last handshake agreed on.
    pub version: Option<Version>,
    /// The name that the last client asked for.
    pub server_name: Option<String>,
    /// Its certificate, where it came in the clear.
    pub certificate: Option<Certificate>,
}

impl Census {
    /// Counts a connection.
    pub fn count(&mut self, report: &Report) {
        self.connections += 1;
        match report.outcome {
            Outcome::Established => self.established += 1,
            Outcome::Joined => self.joined += 1,
            Outcome::Unknown => self.unknown += 1,
            Outcome::Failed(failure) => *self.failed.entry(failure.name()).or_default() += 1,
        }
        if self.servers.len() >= MAX_SERVERS && !self.servers.contains_key(&report.server) {
            return;
        }
        let server = self.servers.entry(report.server).or_default();
        server.connections += 1;
        if let Outcome::Failed(failure) = report.outcome {
            server.failed += 1;
            server.last_failure = Some((report.timestamp, failure));
        }
        server.version = report.version.or(server.version);
        if report.server_name.is_some() {
            server.server_name.clone_from(&report.server_name);
        }
        if report.certificate.is_some() {
            server.certificate.clone_from(&report.certificate);
        }
    }
}
