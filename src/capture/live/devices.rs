//! What can be captured on, and why something cannot.

use std::path::PathBuf;

use pcap::Device;

use super::LiveError;
use super::interface::ANY;

/// Names of what can be captured on, as libpcap tells them.
pub(super) fn names() -> Vec<String> {
    let devices = Device::list().unwrap_or_default();
    devices.into_iter().map(|device| device.name).collect()
}

/// libpcap's text without its preamble.
pub(super) fn reason(error: &pcap::Error) -> String {
    error.to_string().trim_start_matches("libpcap error: ").to_owned()
}

/// Why libpcap did not open an interface.
pub(super) fn refusal(name: &str, error: &pcap::Error) -> LiveError {
    let name = name.to_owned();
    let existing = names();
    if name != ANY && !existing.contains(&name) {
        return LiveError::Missing { name, existing };
    }
    let reason = reason(error);
    // The binding keeps the text of the error and not its number.
    let lower = reason.to_ascii_lowercase();
    if lower.contains("permi") || lower.contains("cap_net_") {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lippycat"));
        return LiveError::NotPermitted { name, program };
    }
    LiveError::Refused { name, reason }
}
