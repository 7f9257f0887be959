//! Why an interface cannot be captured on.

/// Live capture cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// There is no such interface.
    #[error("{name}: no such interface; there are {}", existing.join(", "))]
    Missing {
        /// As the user named it.
        name: String,
        /// Those that exist.
        existing: Vec<String>,
    },
    /// The user may not capture.
    #[error("{name}: no permission to capture; run as root, or as root once: {command}")]
    NotPermitted {
        /// The interface.
        name: String,
        /// What gives the right to this program.
        command: String,
    },
    /// None of the interfaces is up.
    #[error("{}: down, so nothing comes; `ip link set {} up`, or name another that is up", names.join(", "), names.first().map_or("", String::as_str))]
    Down {
        /// As the user named them.
        names: Vec<String>,
    },
    /// The filter is not valid on this interface.
    #[error("{name}: the filter `{expression}` is not valid here: {reason}; see pcap-filter(7)")]
    Filter {
        /// The interface.
        name: String,
        /// The filter.
        expression: String,
        /// What libpcap says.
        reason: String,
    },
    /// The system does not tell of its interfaces.
    #[error("interfaces cannot be listed: {reason}")]
    System {
        /// What it says.
        reason: String,
    },
    /// libpcap or the system refuses.
    #[error("{name}: cannot be captured on: {reason}")]
    Refused {
        /// The interface.
        name: String,
        /// What they say.
        reason: String,
    },
}

impl LiveError {
    /// A right is missing: another exit code than any other failure.
    #[must_use]
    pub const fn is_permission_denied(&self) -> bool {
        matches!(self, Self::NotPermitted { .. })
    }
}
