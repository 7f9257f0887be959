//! What can be captured on, whether this user may, and why something cannot.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use pcap::{Capture, IfFlags, Linktype};
use serde::Serialize;

use super::LiveError;
use super::interface::ANY;

/// Prefixes of what libpcap lists and no call comes over.
const OTHERS: [&str; 6] = ["usbmon", "bluetooth", "dbus-", "nflog", "nfqueue", "rdma"];

/// Something that can be captured on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name, for `-i`.
    pub name: String,
    /// What it is, where the system has words for it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether packets can come.
    pub state: DeviceState,
    /// Its link type, as libpcap calls it; unknown without the right to capture.
    pub link_type: Option<String>,
}

/// Whether packets can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Switched on, and the cable is in.
    Running,
    /// Switched on.
    Up,
    /// Switched off.
    Down,
}

/// Whether this process may capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Permission {
    /// It may.
    pub may_capture: bool,
    /// Capabilities that are missing for that.
    pub missing: Vec<&'static str>,
    /// The command that gives them to this program, once and for all users who may run it.
    pub command: Option<String>,
}

/// Everything that can be captured on.
///
/// # Errors
/// When the system does not tell.
pub fn list() -> Result<Vec<Device>, LiveError> {
    let devices = pcap::Device::list().map_err(|error| LiveError::System { reason: reason(&error) })?;
    Ok(devices.into_iter().filter(|device| is_network(&device.name)).map(device).collect())
}

fn device(device: pcap::Device) -> Device {
    let flags = device.flags.if_flags;
    Device {
        link_type: link_type(&device.name),
        state: state(flags),
        addresses: device.addresses.iter().map(|address| address.addr).collect(),
        description: device.desc,
        name: device.name,
    }
}

fn state(flags: IfFlags) -> DeviceState {
    match flags {
        flags if flags.contains(IfFlags::UP | IfFlags::RUNNING) => DeviceState::Running,
        flags if flags.contains(IfFlags::UP) => DeviceState::Up,
        _ => DeviceState::Down,
    }
}

fn link_type(name: &str) -> Option<String> {
    let handle = Capture::from_device(name).ok()?.buffer_size(1 << 20).snaplen(64).open().ok()?;
    let link: Linktype = handle.get_datalink();
    link.get_name().ok()
}

/// Whether this process may capture, found out by trying.
#[must_use]
pub fn permission() -> Permission {
    let tried = Capture::from_device(ANY).and_then(|handle| handle.buffer_size(1 << 20).snaplen(64).open());
    let may_capture = match tried {
        Ok(_) => true,
        Err(error) => !is_permission(&reason(&error)),
    };
    let missing = if may_capture { Vec::new() } else { missing(&effective()) };
    let command = (!may_capture).then(|| setcap(&program()));
    Permission { may_capture, missing, command }
}

/// The effective capabilities of this process; 0 when the system does not tell.
fn effective() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.unwrap_or_default().trim().to_owned()
}

/// Which of the capabilities that capturing takes are not in `effective` (capabilities(7): hexadecimal).
fn missing(effective: &str) -> Vec<&'static str> {
    let effective = u64::from_str_radix(effective, 16).unwrap_or(0);
    let needed = [("cap_net_raw", 13), ("cap_net_admin", 12)];
    needed.into_iter().filter(|(_, bit)| effective & (1 << bit) == 0).map(|(name, _)| name).collect()
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lippycat"))
}

fn setcap(program: &std::path::Path) -> String {
    format!("setcap cap_net_raw,cap_net_admin=eip {}", program.display())
}

fn is_network(name: &str) -> bool {
    !OTHERS.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the interface of that name is switched on; none when there is none.
pub(super) fn is_up(name: &str) -> Option<bool> {
    let devices = pcap::Device::list().unwrap_or_default();
    devices.iter().find(|device| device.name == name).map(|device| device.flags.is_up())
}

/// libpcap's text without its preamble.
pub(super) fn reason(error: &pcap::Error) -> String {
    error.to_string().trim_start_matches("libpcap error: ").to_owned()
}

/// The binding keeps the text of an error and not its number.
fn is_permission(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("permi") || reason.contains("cap_net_")
}

/// Why libpcap did not open an interface.
pub(super) fn refusal(name: &str, error: &pcap::Error) -> LiveError {
    let name = name.to_owned();
    let devices = pcap::Device::list().unwrap_or_default().into_iter().map(|device| device.name);
    let existing: Vec<String> = devices.filter(|name| is_network(name)).collect();
    if name != ANY && !existing.contains(&name) {
        return LiveError::Missing { name, existing };
    }
    let reason = reason(error);
    if is_permission(&reason) {
        return LiveError::NotPermitted { name, command: setcap(&program()) };
    }
    LiveError::Refused { name, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_from_what_is_effective() {
        // capabilities(7): CAP_NET_ADMIN is 12, CAP_NET_RAW is 13.
        assert_eq!(missing("0000000000000000"), ["cap_net_raw", "cap_net_admin"]);
        assert_eq!(missing("0000000000002000"), ["cap_net_admin"]);
        assert_eq!(missing("000001ffffffffff"), [""; 0]);
        assert_eq!(missing("garbage"), ["cap_net_raw", "cap_net_admin"]);
    }

    #[test]
    fn texts_of_libpcap_are_understood() {
        for text in [
            "socket: Operation not permitted",
            "You don't have permission to perform this capture on that device",
            "Attempt to create packet socket failed - CAP_NET_RAW may be required",
        ] {
            assert!(is_permission(text), "{text}");
        }
        assert!(!is_permission("eth9: No such device exists (No such device exists)"));
    }

    #[test]
    fn the_loopback_interface_is_there() {
        let devices = list().unwrap();
        let lo = devices.iter().find(|device| device.name == "lo").unwrap();
        assert!(lo.addresses.iter().all(IpAddr::is_loopback));
        assert!(devices.iter().all(|device| is_network(&device.name)));
    }
}
