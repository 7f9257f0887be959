//! The user's capture filter, applied to packets of any link type.
//!
//! A filter is compiled by libpcap once per link type that occurs. Fragments are not its business: they have no
//! ports, so the caller asks about the whole datagram instead.

use pcap::{BpfProgram, Capture, Linktype};

use super::LinkType;
use crate::escape::brief;

/// A filter that libpcap refuses: what it was, and why.
#[derive(Debug, thiserror::Error)]
#[error("the filter `{expression}` is not valid: {reason}; see pcap-filter(7)")]
pub struct FilterError {
    expression: String,
    reason: String,
}

impl FilterError {
    /// Why, as libpcap says it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// A compiled filter.
pub struct PacketFilter {
    expression: String,
    programs: Vec<(LinkType, Option<BpfProgram>)>,
}

impl PacketFilter {
    /// Compiles `expression`, a filter as in pcap-filter(7).
    ///
    /// # Errors
    /// When no link type makes sense of it.
    pub fn new(expression: &str) -> Result<Self, FilterError> {
        let mut reason = String::new();
        for link in [LinkType::ETHERNET, LinkType::LINUX_SLL, LinkType::RAW] {
            match compile(expression, link) {
                Ok(program) => {
                    return Ok(Self {
                        expression: expression.to_owned(),
                        programs: vec![(link, Some(program))],
                    });
                }
                Err(error) if reason.is_empty() => reason = error.to_string(),
                Err(_) => {}
            }
        }
        let words = ["libpcap error: ", "can't parse filter expression: "];
        let reason = words.iter().fold(reason.as_str(), |reason, word| reason.trim_start_matches(word));
        // What libpcap has no memory for is too long: it has a fixed amount for an expression.
        let is_too_large = ["malloc", "out of memory"].contains(&reason);
        let reason = if is_too_large { "the expression is too large" } else { reason }.to_owned();
        Err(FilterError { expression: brief(expression).into_owned(), reason })
    }

    /// Whether the packet is one that the filter asks for. On a link type that the filter makes no sense on
    /// (`ether host` on raw IP) nothing is.
    pub fn passes(&mut self, link: LinkType, frame: &[u8]) -> bool {
        let index = match self.programs.iter().position(|(known, _)| *known == link) {
            Some(index) => index,
            None => {
                self.programs.push((link, compile(&self.expression, link).ok()));
                self.programs.len() - 1
            }
        };
        self.programs
            .get(index)
            .and_then(|(_, program)| program.as_ref())
            .is_some_and(|program| program.filter(frame))
    }
}

impl std::fmt::Debug for PacketFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketFilter").field("expression", &self.expression).finish_non_exhaustive()
    }
}

fn compile(expression: &str, link: LinkType) -> Result<BpfProgram, pcap::Error> {
    // LINKTYPE_RAW in files is DLT_RAW (12) in libpcap on Linux.
    let dlt = if link == LinkType::RAW { 12 } else { i32::from(link.0) };
    Capture::dead(Linktype(dlt))?.compile(expression, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_refused_with_its_text() {
        let error = PacketFilter::new("prot 5060").unwrap_err().to_string();
        assert!(error.contains("`prot 5060`") && error.contains("pcap-filter(7)"), "{error}");
    }

    #[test]
    fn a_filter_that_is_too_large_is_refused_in_brief() {
        let ports: Vec<String> = (1..9000).map(|port| format!("port {port}")).collect();
        let error = PacketFilter::new(&ports.join(" or ")).unwrap_err().to_string();
        assert!(error.contains("the expression is too large") && error.len() < 300, "{error}");
    }

    #[test]
    fn a_filter_is_compiled_for_each_link_type() {
        let mut filter = PacketFilter::new("udp port 5060").unwrap();
        let ip = [
            0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0xc4, 0x13, 0xc4, 0,
            8, 0, 0,
        ];
        let mut ethernet = vec![0u8; 12];
        ethernet.extend([0x08, 0x00]);
        ethernet.extend(ip);
        assert!(filter.passes(LinkType::RAW, &ip));
        assert!(filter.passes(LinkType::ETHERNET, &ethernet));
        assert!(!filter.passes(LinkType::ETHERNET, &ip));
        assert!(!PacketFilter::new("tcp").unwrap().passes(LinkType::RAW, &ip));
    }
}
