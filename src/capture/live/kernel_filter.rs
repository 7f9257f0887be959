//! What the kernel is asked to let through.
//!
//! The user's filter is applied to whole packets later on; here it only saves copying what cannot match. So it may
//! let through too much and never too little: what has no ports to look at yet is let through, and what may have
//! another packet inside, whose addresses and ports are deeper than the kernel looks.

use std::net::SocketAddr;

/// Words of pcap-filter(7) whose answer depends on what a later fragment does not show.
const DEEP: [&str; 11] =
    ["port", "portrange", "tcp", "udp", "sctp", "icmp", "icmp6", "less", "greater", "len", "proto"];

/// Fragments beyond the first. In IPv6 every fragment, for there is another header before its ports.
const FRAGMENTS: &str = "(ip[6:2] & 0x1fff != 0) or (ip6[6] == 44)";

/// Tags and tunnels that are looked into: VLAN, MPLS, PPPoE; IP in IP, GRE; GTP-U, VXLAN, Geneve, TZSP by their
/// ports, HEP by its port; and other extension headers of IPv6, behind which there may be a tunnel or a fragment.
/// `vlan`, `mpls` and `pppoes` are not used: they move the offsets of all that follows them.
const WRAPPED: &str = "(ether proto 0x8100) or (ether proto 0x88a8) or (ether proto 0x9100) \
    or (ether proto 0x8847) or (ether proto 0x8848) or (ether proto 0x8864) \
    or (ip proto 4) or (ip proto 41) or (ip proto 47) or (ip6 proto 4) or (ip6 proto 41) or (ip6 proto 47) \
    or (ip6[6] == 0) or (ip6[6] == 43) or (ip6[6] == 60) \
    or (udp dst port 2152 or 4789 or 8472 or 6081 or 37008) or (udp port 9060)";

/// ARP, RARP and LLDP: never a call. Spanning tree is not named, having no number of its own.
const NEVER: &str = "not ((ether proto 0x0806) or (ether proto 0x8035) or (ether proto 0x88cc))";

/// A filter for the kernel and what to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFilter {
    /// As in pcap-filter(7).
    pub expression: String,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Ports to which `--ports-only` narrows what the kernel lets through, as pcap-filter(7) writes them: `5060` or
/// `10000-32768`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Of SIP, over UDP, TCP and SCTP.
    pub sip: Vec<String>,
    /// Of media, over UDP.
    pub media: Vec<String>,
}

impl KernelFilter {
    /// The filter for what the user asked for; `ports` narrows it.
    #[must_use]
    pub fn new(user: Option<&str>, ports: Option<&Ports>) -> Self {
        let mut notes = Vec::new();
        let mut parts = Vec::new();
        if let Some(user) = user {
            parts.push(widened(user, &mut notes));
        }
        match ports {
            Some(ports) => parts.push(narrow(ports, &mut notes)),
            None => parts.push(NEVER.to_owned()),
        }
        // The user's filter last: `vlan` in it moves the offsets of what follows.
        parts.reverse();
        Self { expression: parts.join(" and "), notes }
    }

    /// The filter without the traffic of these TCP listeners: a sniffer that is asked how it is must not look at the
    /// answer. One that listens on every address takes its port from all.
    #[must_use]
    pub fn without(self, listeners: &[SocketAddr]) -> Self {
        let own = |listener: &SocketAddr| match listener.ip() {
            any if any.is_unspecified() => format!("not (tcp port {}) and ", listener.port()),
            host => format!("not (host {host} and tcp port {}) and ", listener.port()),
        };
        let own: String = listeners.iter().map(own).collect();
        Self { expression: format!("{own}{}", self.expression), ..self }
    }
}

fn widened(user: &str, notes: &mut Vec<String>) -> String {
    let (fragments, by) = match looks_deep(user) {
        true => (format!("{FRAGMENTS} or "), "later fragments, tagged and tunnelled packets"),
        false => (String::new(), "tagged and tunnelled packets"),
    };
    notes.push(format!(
        "the filter `{user}` is widened for the kernel by {by}, which do not show what it asks for; whole packets \
         are then held against it as given"
    ));
    format!("({fragments}{WRAPPED} or ({user}))")
}

/// Whether the filter asks for more than addresses and link headers.
fn looks_deep(filter: &str) -> bool {
    let mut words = filter.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    filter.contains('[') || words.any(|word| DEEP.contains(&word))
}

fn narrow(ports: &Ports, notes: &mut Vec<String>) -> String {
    let sip = ports.sip.iter().map(|range| format!("portrange {range}"));
    let media = ports.media.iter().map(|range| format!("udp portrange {range}"));
    let wanted: Vec<String> = sip.chain(media).map(|port| format!("({port})")).collect();
    notes.push(format!(
        "--ports-only: SIP on other ports than {} and media on other UDP ports than {} will not be seen",
        ports.sip.join(","),
        ports.media.join(",")
    ));
    format!("({FRAGMENTS} or {WRAPPED} or {})", wanted.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap::{BpfProgram, Capture, Linktype};

    const ETHERNET: i32 = 1;

    fn compile(expression: &str, link: i32) -> BpfProgram {
        Capture::dead(Linktype(link)).unwrap().compile(expression, true).unwrap_or_else(|error| {
            panic!("{expression}: {error}");
        })
    }

    fn ethernet(kind: u16, packet: &[u8]) -> Vec<u8> {
        [&[0; 12][..], &kind.to_be_bytes(), packet].concat()
    }

    /// An IPv4 packet (RFC 791 3.1) with these flags and fragment offset, of this protocol.
    fn ipv4(fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let length = (20 + payload.len() as u16).to_be_bytes();
        let [flags, offset] = fragment.to_be_bytes();
        let mut packet = vec![0x45, 0, length[0], length[1], 0, 7, flags, offset, 64, protocol, 0, 0];
        packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
        packet.extend(payload);
        packet
    }

    fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u16).to_be_bytes();
        [&[0x60, 0, 0, 0, length[0], length[1], next, 64][..], &[0x20; 32], payload].concat()
    }

    fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
        let [high, low] = port.to_be_bytes();
        let length = (8 + payload.len() as u16).to_be_bytes();
        [&[high, low, high, low, length[0], length[1], 0, 0][..], payload].concat()
    }

    fn frames() -> Vec<(&'static str, Vec<u8>)> {
        let sip = udp(5060, b"OPTIONS");
        let other = udp(53, b"name");
        vec![
            ("sip", ethernet(0x0800, &ipv4(0, 17, &sip))),
            ("dns", ethernet(0x0800, &ipv4(0, 17, &other))),
            ("later fragment", ethernet(0x0800, &ipv4(185, 17, b"rest"))),
            ("later fragment of IPv6", ethernet(0x86dd, &ipv6(44, &[17, 0, 1, 0, 0, 0, 0, 9]))),
            ("tagged", ethernet(0x8100, &[&[0, 5, 8, 0][..], &ipv4(0, 17, &sip)].concat())),
            (
                "tagged twice",
                ethernet(0x88a8, &[&[0, 5, 0x81, 0, 0, 6, 8, 0][..], &ipv4(0, 17, &sip)].concat()),
            ),
            ("GRE", ethernet(0x0800, &ipv4(0, 47, &[&[0, 0, 8, 0][..], &ipv4(0, 17, &sip)].concat()))),
            ("VXLAN", ethernet(0x0800, &ipv4(0, 17, &udp(4789, &[8, 0, 0, 0, 0, 0, 5, 0])))),
            // RFC 3032 2.1: label 16, bottom of the stack.
            ("MPLS", ethernet(0x8847, &[&[0, 1, 1, 64][..], &ipv4(0, 17, &sip)].concat())),
            // RFC 2516 4: a session's data; RFC 1661 2: IPv4.
            ("PPPoE", ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 37, 0, 0x21][..], &ipv4(0, 17, &sip)].concat())),
            // RFC 2473 4.1: IPv6 in IPv6, behind a destination option.
            ("IPv6 in IPv6", ethernet(0x86dd, &ipv6(60, &[41, 0, 4, 1, 4, 1, 0, 0]))),
            ("ARP", ethernet(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1])),
            ("LLDP", ethernet(0x88cc, &[2, 7, 4])),
        ]
    }

    /// What has another packet inside, of [`frames`].
    const WRAPPINGS: [&str; 7] = ["tagged", "tagged twice", "GRE", "VXLAN", "MPLS", "PPPoE", "IPv6 in IPv6"];

    fn passing(filter: &KernelFilter) -> Vec<&'static str> {
        let program = compile(&filter.expression, ETHERNET);
        frames().into_iter().filter(|(_, frame)| program.filter(frame)).map(|(name, _)| name).collect()
    }

    #[test]
    fn without_a_filter_only_what_is_never_a_call_stays_out() {
        let filter = KernelFilter::new(None, None);
        let kept = frames().into_iter().map(|(name, _)| name).filter(|name| !["ARP", "LLDP"].contains(name));
        assert_eq!(passing(&filter), kept.collect::<Vec<_>>(), "{filter:?}");
        assert!(filter.notes.is_empty());
    }

    #[test]
    fn a_port_filter_keeps_what_shows_no_port_and_says_so() {
        let filter = KernelFilter::new(Some("port 5060"), None);
        let kept = [&["sip", "later fragment", "later fragment of IPv6"][..], &WRAPPINGS].concat();
        assert_eq!(passing(&filter), kept);
        assert!(filter.notes[0].contains("`port 5060`"), "{filter:?}");
    }

    #[test]
    fn a_filter_of_addresses_keeps_what_may_have_them_inside_and_says_so() {
        for user in ["host 192.0.2.9", "net 198.51.100.0/24"] {
            let filter = KernelFilter::new(Some(user), None);
            assert_eq!(passing(&filter), WRAPPINGS, "{user}");
            assert!(filter.notes[0].contains(user) && !filter.notes[0].contains("fragments"), "{filter:?}");
        }
        assert!(passing(&KernelFilter::new(Some("host 192.0.2.1"), None)).contains(&"later fragment"));
    }

    #[test]
    fn an_or_of_the_user_does_not_undo_the_rest() {
        assert!(!passing(&KernelFilter::new(Some("ip or arp"), None)).contains(&"ARP"));
    }

    #[test]
    fn ports_only_is_narrow_and_says_what_it_blinds() {
        let ports = Ports { sip: vec!["5060-5061".to_owned()], media: vec!["10000-32768".to_owned()] };
        let filter = KernelFilter::new(None, Some(&ports));
        assert!(!passing(&filter).contains(&"dns") && passing(&filter).contains(&"sip"));
        assert!(
            filter.notes[0].contains("5060-5061") && filter.notes[0].contains("10000-32768"),
            "{filter:?}"
        );
    }

    #[test]
    fn own_traffic_stays_out_and_that_of_others_does_not() {
        // RFC 793 3.1: ports, and a header of 20 bytes.
        let tcp = |from: u16, to: u16| {
            let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
            ethernet(0x0800, &ipv4(0, 6, &[&ports[..], &[0; 8], &[0x50, 0x10, 0, 0, 0, 0, 0, 0]].concat()))
        };
        let passes = |listener: &str, frame: &[u8]| {
            let filter = KernelFilter::new(None, None).without(&[listener.parse().unwrap()]);
            compile(&filter.expression, ETHERNET).filter(frame)
        };
        for (listener, keeps) in [
            ("192.0.2.2:9123", false),
            ("0.0.0.0:9123", false),
            ("[::]:9123", false),
            ("192.0.2.3:9123", true),
        ] {
            assert_eq!(passes(listener, &tcp(40_000, 9123)), keeps, "asked at {listener}");
            assert_eq!(passes(listener, &tcp(9123, 40_000)), keeps, "answered by {listener}");
            assert!(passes(listener, &tcp(40_000, 5060)), "{listener}");
            let datagram = ethernet(0x0800, &ipv4(0, 17, &udp(9123, b"media")));
            assert!(passes(listener, &datagram), "{listener}");
        }
    }

    /// On `any` (cooked), raw IP and loopback links the same has to compile.
    #[test]
    fn every_link_type_takes_it() {
        for link in [ETHERNET, 12, 113, 276, 0] {
            for user in [None, Some("port 5060"), Some("host 192.0.2.1")] {
                let own = ["127.0.0.1:9123".parse().unwrap(), "[::1]:9123".parse().unwrap()];
                compile(&KernelFilter::new(user, None).without(&own).expression, link);
            }
        }
    }
}
