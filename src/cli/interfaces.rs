//! `lippycat interfaces`: what can be captured on.

use std::io::{self, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::capture::live::{Device, DeviceState, Permission};

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    permission: &'a Permission,
    interfaces: &'a [Device],
}

/// As one JSON object.
///
/// # Errors
/// Those of the writer.
pub fn interfaces_json(devices: &[Device], permission: &Permission, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Answer { permission, interfaces: devices })?;
    out.write_all(b"\n")
}

/// As a table.
///
/// # Errors
/// Those of the writer.
pub fn interfaces_text(devices: &[Device], out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["name", "state", "link type", "addresses", "description"]);
    for device in devices {
        let addresses: Vec<String> = device.addresses.iter().map(ToString::to_string).collect();
        let state = match device.state {
            DeviceState::Running => "running",
            DeviceState::Up => "up",
            DeviceState::Down => "down",
        };
        table.add_row([
            device.name.as_str(),
            state,
            device.link_type.as_deref().unwrap_or("unknown"),
            &addresses.join(" "),
            device.description.as_deref().unwrap_or_default(),
        ]);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> Vec<Device> {
        vec![Device {
            name: "eth0".to_owned(),
            description: None,
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            state: DeviceState::Running,
            link_type: Some("EN10MB".to_owned()),
        }]
    }

    #[test]
    fn a_row_has_all_that_is_known() {
        let mut out = Vec::new();
        interfaces_text(&devices(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row, ["eth0", "running", "EN10MB", "192.0.2.1", "2001:db8::1"], "{text}");
    }

    #[test]
    fn the_object_says_what_is_missing() {
        let permission = Permission {
            may_capture: false,
            missing: vec!["cap_net_raw"],
            command: Some("setcap cap_net_raw,cap_net_admin=eip /usr/bin/lippycat".to_owned()),
        };
        let mut out = Vec::new();
        interfaces_json(&devices(), &permission, &mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["may_capture"], false);
        assert_eq!(value["missing"][0], "cap_net_raw");
        assert_eq!(value["interfaces"][0]["state"], "running");
        assert_eq!(value["interfaces"][0]["addresses"][1], "2001:db8::1");
    }
}
