//! Keys that are known, but not keys of this version: they deserve a better answer than "unknown".

/// What became, or will become, of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has no counterpart any more; the text names what does its work. A warning.
    Replaced(&'static str),
    /// What it would configure is not in this version. An error: it would be silently without effect.
    Absent(&'static str),
}

/// Keys of other versions, with what does their work now.
const REPLACED: [(&str, &str); 16] = [
    ("packet_buffer_size", "use voip.tcp_batch_size"),
    ("promiscuous", "use interfaces.promiscuous"),
    ("writeVoip", "use pcap.write"),
    ("voip.packet_buffer_size", "use voip.tcp_batch_size"),
    ("voip.tcp_buffer_pool_size", "buffers recycle themselves; voip.tcp_memory_limit limits them"),
    ("voip.tcp_compression_level", "files are written as they are; compress them when rotating"),
    ("voip.log_goroutine_limit_interval", "what exceeds voip.max_goroutines is counted in the summary"),
    (
        "voip.tcp_cleanup_interval",
        "use voip.tcp_stream_timeout and voip.tcp_buffer_max_age, both kept to 100 ms",
    ),
    ("voip.janitor_cleanup_interval", "use voip.call_expiration_time, kept to 100 ms"),
    ("voip.call_id_detection_timeout", "use voip.tcp_buffer_max_age"),
    ("voip.tcp_assembler_max_pages", "use voip.max_tcp_buffers"),
    ("voip.tcp_buffer_strategy", "use voip.enable_backpressure: it says who yields"),
    ("voip.memory_optimization", "use voip.tcp_performance_mode: memory"),
    ("voip.tcp_latency_optimization", "use voip.tcp_performance_mode: latency"),
    ("voip.sip_ports", "SIP is found by content on any port; interfaces.ports_only narrows the input"),
    (
        "voip.rtp_port_ranges",
        "media is found through SDP on any port; interfaces.ports_only narrows the input",
    ),
];

/// Sections and keys of what is not built yet.
const ABSENT: [(&str, &str); 4] = [
    ("hep", "there is no HEP"),
    ("allowlist", "nothing needs one"),
    ("events.required_headers", "there are no alerts"),
    ("inspect", "there is no store of signalling; use lippycat inspect -r FILE"),
];

/// What is known of `key`, a section or a dotted key that is none of ours.
pub(super) fn fate(key: &str) -> Option<Fate> {
    let find = |table: &[(&'static str, &'static str)]| {
        table.iter().find(|(name, _)| *name == key).map(|(_, text)| *text)
    };
    find(&REPLACED).map(Fate::Replaced).or_else(|| find(&ABSENT).map(Fate::Absent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;

    #[test]
    fn no_key_is_both_ours_and_retired_and_replacements_exist() {
        let keys = Settings::keys();
        for (key, text) in REPLACED.iter().chain(&ABSENT) {
            assert!(!keys.contains(key), "{key}");
            let words = text.split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_'));
            for named in words.filter(|word| word.starts_with("voip.") || word.starts_with("pcap.")) {
                assert!(keys.contains(&named), "{key}: {named}");
            }
        }
    }
}
