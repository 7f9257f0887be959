//! The numbering plan: who has which address and port.

use std::net::{IpAddr, Ipv6Addr};

use super::frame::Endpoint;
use super::profile::Load;
use super::rng::{Rng, mix};

/// Hands out addresses and ports.
pub(crate) struct Addresses {
    user_agents: u64,
    servers: u64,
    ipv6: f64,
    /// Media ports handed out.
    ports: u64,
}

impl Addresses {
    /// `ipv6` is the share of hosts that have such an address.
    pub(crate) fn new(load: &Load, ipv6: f64) -> Self {
        Self { user_agents: load.user_agents.max(1), servers: load.servers.max(1), ipv6, ports: 0 }
    }

    /// A user agent and a server that talk over UDP.
    pub(crate) fn hosts(&self, rng: &mut Rng) -> [Endpoint; 2] {
        let agent = rng.below(self.user_agents);
        let server = rng.below(self.servers);
        // A few user agents sit behind a port of their own.
        let port = if agent % 10 == 9 { 5_060 + (agent % 7) as u16 * 1_000 } else { 5_060 };
        self.pair(agent, server, port)
    }

    /// The client and the server of a TCP connection.
    pub(crate) fn trunk(&self, number: u64) -> [Endpoint; 2] {
        self.pair(number, number % self.servers, 32_768 + (mix(number) % 28_000) as u16)
    }

    /// An even port for RTP; the odd one above it is for RTCP.
    pub(crate) fn media_port(&mut self) -> u16 {
        self.ports += 1;
        10_000 + (self.ports % 25_000 * 2) as u16
    }

    fn pair(&self, agent: u64, server: u64, port: u16) -> [Endpoint; 2] {
        // Drawn from the number, so that a host keeps its address.
        let six = (mix(agent) >> 11) as f64 / (1_u64 << 53) as f64;
        let ips = if six < self.ipv6 {
            let site = |site: u16, host: u64| {
                IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, site, 0, 0, 0, (host >> 16) as u16, host as u16))
            };
            [site(1, agent + 1), site(2, server + 1)]
        } else {
            let host = 0x0a00_0000 + (agent + 1) as u32;
            [IpAddr::from(host.to_be_bytes()), IpAddr::from([198, 51, 100, (server + 10) as u8])]
        };
        [Endpoint { ip: ips[0], port }, Endpoint { ip: ips[1], port: 5_060 }]
    }
}
