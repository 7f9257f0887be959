//! The traffic of the speed table, row by row.

use super::profile::{Bridge, Datagrams, Load, Media, Noise, Outcome, Profile, Shape, Tcp, Text, Wire};

/// The rows of the speed table, by letter and name.
pub(crate) const PRESETS: [(&str, &str); 5] =
    [("A", "udp"), ("B", "tcp"), ("C", "media"), ("D", "udp-long"), ("E", "mixed")];

impl Profile {
    /// A preset by its name, or the defaults for `plain`.
    pub(crate) fn preset(name: &str) -> Option<Self> {
        match name {
            "plain" => Some(Self::default()),
            "udp" => Some(Self::carrier()),
            "udp-long" => {
                let mut profile = Self::carrier();
                profile.scale(10.0);
                Some(profile)
            }
            "tcp" => Some(Self::trunks()),
            "media" => Some(Self::talk()),
            "mixed" => Some(Self::office()),
            "faults" => Some(Self::trouble()),
            "all-faults" => Some(Self::all_trouble()),
            "legs" => Some(Self::bridged()),
            _ => None,
        }
    }

    /// Ten to twenty thousand dialogs at once over UDP, one packet in ten a fragment.
    fn carrier() -> Self {
        let load = Load {
            seed: 1,
            calls: 100_000,
            registrations: 20_000,
            options: 10_000,
            rate: 500.0,
            hold: 20.0,
            user_agents: 2_000,
            servers: 4,
            list: false,
        };
        let outcome = Outcome {
            auth: 0.5,
            not_found: 0.03,
            busy: 0.04,
            unavailable: 0.01,
            redirected: 0.005,
            cancelled: 0.03,
            unanswered: 0.005,
            open: 0.005,
            registration_refused: 0.02,
        };
        let shape = Shape {
            reinvites: 0.03,
            updates: 0.01,
            pracks: 0.02,
            forks: 0.01,
            reused: 0.001,
            ..Shape::default()
        };
        let text = Text { compact: 0.03, lf_only: 0.0, no_content_length: 0.0, large: 0.33 };
        let datagrams = Datagrams { sip_retransmitted: 0.01, ..Datagrams::default() };
        let wire = Wire { ipv6: 0.05, ..Wire::default() };
        Self { load, outcome, shape, text, datagrams, wire, ..Self::default() }
    }

    /// The same dialogs over 2,000 TCP connections.
    fn trunks() -> Self {
        let mut profile = Self::carrier();
        profile.datagrams = Datagrams::default();
        profile.tcp = Tcp {
            tcp: 1.0,
            connections: 2_000,
            cut: 0.1,
            pipelined: 0.3,
            out_of_order: 0.01,
            retransmitted: 0.01,
            overlapped: 0.2,
            keepalive: 30,
            ..Tcp::default()
        };
        profile
    }

    /// 2,000 calls that talk for half a minute.
    fn talk() -> Self {
        let load =
            Load { calls: 2_000, rate: 50.0, hold: 30.0, user_agents: 500, list: false, ..Load::default() };
        let media = Media {
            rtp: 1.0,
            rtp_lost: 0.002,
            rtp_reordered: 0.001,
            rtp_duplicated: 0.0002,
            ..Media::default()
        };
        Self { load, media, wire: Wire { ipv6: 0.05, ..Wire::default() }, ..Self::default() }
    }

    /// Ten thousand calls, each with a fault in its signalling, or with what looks like one and is none.
    fn trouble() -> Self {
        let load = Load { calls: 10_000, rate: 100.0, user_agents: 500, list: true, ..Load::default() };
        Self { load, shape: Shape { faults: 1.0, ..Shape::default() }, ..Self::default() }
    }

    /// The same, and four calls in ten have it in their media.
    fn all_trouble() -> Self {
        let mut profile = Self::trouble();
        profile.shape.media_faults = 0.4;
        profile
    }

    /// A thousand calls through B2BUAs, and a thousand that look like it.
    fn bridged() -> Self {
        let load =
            Load { calls: 2_000, rate: 50.0, hold: 20.0, user_agents: 500, list: true, ..Load::default() };
        let outcome = Outcome {
            not_found: 0.05,
            busy: 0.05,
            unavailable: 0.05,
            cancelled: 0.1,
            unanswered: 0.02,
            open: 0.02,
            ..Outcome::default()
        };
        let bridge = Bridge { b2bua: 0.5, lookalikes: 1.0, identical: false };
        Self { load, outcome, bridge, ..Self::default() }
    }

    /// One packet in a hundred is SIP, the rest is what an office sends.
    fn office() -> Self {
        let mut profile = Self::carrier();
        profile.load.calls = 2_650;
        profile.load.registrations = 530;
        profile.load.options = 265;
        profile.load.rate = 20.0;
        profile.load.user_agents = 200;
        profile.text.large = 0.1;
        profile.tcp =
            Tcp { tcp: 0.3, connections: 40, cut: 0.1, pipelined: 0.3, keepalive: 30, ..Tcp::default() };
        profile.noise = Noise { noise: 0.99, ..Noise::default() };
        profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_exists() {
        for (_, name) in PRESETS {
            assert!(Profile::preset(name).is_some(), "{name}");
        }
        for name in ["faults", "all-faults", "legs"] {
            assert!(Profile::preset(name).is_some(), "{name}");
        }
        assert!(Profile::preset("nothing").is_none());
    }
}
