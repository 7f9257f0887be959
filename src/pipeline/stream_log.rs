//! A log line for every TCP stream that carried SIP, when it ends. People count them.

use crate::sip::{Messages, StreamEnd};

/// Target of the lines about streams that ended whole, which no limit may leave out.
pub const STREAM_LOG: &str = "lippycat::stream";

/// Logs the streams that ended.
pub(super) fn ended(outputs: &[Messages]) {
    for end in outputs.iter().flat_map(|messages| &messages.ended) {
        let StreamEnd { source, destination, messages, .. } = end;
        let told = if *messages == 1 { "message" } else { "messages" };
        if end.complete {
            tracing::info!(
                target: STREAM_LOG,
                "Stream completed: tcp {source} -> {destination}, {messages} SIP {told}"
            );
        } else {
            tracing::warn!(
                "tcp stream failed: error: bytes were lost: {source} -> {destination}, {messages} SIP {told}"
            );
        }
    }
}
