//! What a summary says of SIP over TLS.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::flow::Endpoint;
use crate::time::Timestamp;
use crate::tls;

/// SIP over TLS: connections whose messages cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsSummary {
    /// Connections, on the port of SIP over TLS or naming SIP in their hello.
    pub connections: u64,
    /// Handshakes that went well.
    pub established: u64,
    /// Connections that were up before the capture.
    pub joined: u64,
    /// Handshakes of which too much is missing.
    pub unknown: u64,
    /// Handshakes that failed, by reason: the alert's name in RFC 8446, `closed`, `unanswered`, `not_tls`,
    /// `encrypted_alert`.
    pub failed: BTreeMap<&'static str, u64>,
    /// The servers; at most 256.
    pub servers: Vec<TlsServer>,
}

/// A server that is asked for SIP over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsServer {
    /// Address and port.
    pub server: String,
    /// Connections to it.
    pub connections: u64,
    /// Handshakes with it that failed.
    pub failed: u64,
    /// Why the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// The version last agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The name last asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whose certificate it shows (up to TLS 1.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// When that ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
    /// Whole days from the last packet until then; negative when it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
}

/// A certificate that ends in fewer days is told of.
const EXPIRES_SOON: i64 = 30;

impl TlsSummary {
    /// Puts a census into words; `now` is the time of the last packet.
    #[must_use]
    pub fn new(census: &tls::Census, now: Option<Timestamp>) -> Self {
        Self {
            connections: census.connections,
            established: census.established,
            joined: census.joined,
            unknown: census.unknown,
            failed: census.failed.clone(),
            servers: census
                .servers
                .iter()
                .map(|(server, known)| TlsServer::new(*server, known, now))
                .collect(),
        }
    }

    /// What of it asks for attention, one sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.servers.iter().flat_map(TlsServer::warnings)
    }
}

impl TlsServer {
    fn new(server: Endpoint, known: &tls::Server, now: Option<Timestamp>) -> Self {
        let certificate = known.certificate.as_ref();
        let days = |end: Timestamp| {
            let seconds = |time: Timestamp| i64::try_from(time.seconds()).unwrap_or(i64::MAX);
            Some(seconds(end).saturating_sub(seconds(now?)).div_euclid(86_400))
        };
        Self {
            server: server.to_string(),
            connections: known.connections,
            failed: known.failed,
            last_failure: known.last_failure.map(|(_, failure)| failure.to_string()),
            version: known.version.map(|version| version.to_string()),
            server_name: known.server_name.clone(),
            certificate: certificate.map(|certificate| certificate.subject.clone()),
            not_after: certificate.map(|certificate| certificate.not_after.rfc3339()),
            days_left: certificate.and_then(|certificate| days(certificate.not_after)),
        }
    }

    fn warnings(&self) -> impl Iterator<Item = String> {
        let Self { server, failed, connections, .. } = self;
        let failures = self.last_failure.as_ref().map(|why| {
            format!("{server}: {failed} of {connections} TLS handshakes failed, the last because {why}")
        });
        let certificate = self.certificate.as_deref().unwrap_or_default();
        let expiry = self.days_left.filter(|&days| days < EXPIRES_SOON).map(|days| match days {
            ..0 => format!("{server}: the certificate of {certificate} ended {} days ago", -days),
            _ => format!("{server}: the certificate of {certificate} ends in {days} days"),
        });
        failures.into_iter().chain(expiry)
    }
}
