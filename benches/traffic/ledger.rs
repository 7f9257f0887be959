//! What is truly in a capture: counted where the traffic was made, not where it is read.

use std::collections::BTreeMap;

use serde::Serialize;

use super::file::Totals;
use super::message::Transport;
use super::script::Outcome;
use super::step::{Mark, Step};

/// Everything about a capture that a test or a measurement may want to know. Times are nanoseconds since 1970.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Ledger {
    pub(crate) packets: u64,
    /// Captured bytes, and bytes on the wire where a snap length cut frames.
    pub(crate) bytes: u64,
    pub(crate) wire_bytes: u64,
    /// Frames that the snap length cut.
    pub(crate) cut: u64,
    pub(crate) first_packet: u64,
    pub(crate) last_packet: u64,
    pub(crate) sip: Sip,
    pub(crate) calls: Calls,
    pub(crate) registrations: u64,
    pub(crate) registrations_refused: u64,
    pub(crate) options: u64,
    /// Dialogs that existed at once, at most.
    pub(crate) dialogs_at_once: u64,
    pub(crate) rtp: Rtp,
    pub(crate) rtcp: Rtcp,
    pub(crate) fragments: Fragments,
    pub(crate) tcp: Tcp,
    pub(crate) noise: Noise,
    /// Every call, if asked for, in the order of their beginning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) list: Vec<Call>,
}

/// SIP messages, retransmissions included.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sip {
    pub(crate) messages: u64,
    pub(crate) requests: BTreeMap<&'static str, u64>,
    pub(crate) responses: BTreeMap<u16, u64>,
    pub(crate) transports: BTreeMap<&'static str, u64>,
    pub(crate) retransmissions: u64,
    pub(crate) with_sdp: u64,
    pub(crate) call_ids: u64,
    pub(crate) smallest: usize,
    pub(crate) largest: usize,
    pub(crate) bytes: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Calls {
    pub(crate) total: u64,
    pub(crate) answered: u64,
    pub(crate) by_result: BTreeMap<&'static str, u64>,
    /// Calls with the Call-ID of an earlier one; they are part of `total`.
    pub(crate) reused_call_ids: u64,
    /// Calls that came with another one: its outgoing leg, or what looks like it; they are part of `total`.
    pub(crate) seconds: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Rtp {
    /// In the capture, second copies included.
    pub(crate) packets: u64,
    pub(crate) streams: u64,
    /// Numbered but not in the capture.
    pub(crate) lost: u64,
    /// Behind a packet with a higher number.
    pub(crate) reordered: u64,
    /// Second copies.
    pub(crate) duplicated: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Rtcp {
    pub(crate) packets: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Fragments {
    /// Packets that are a fragment, second copies included.
    pub(crate) seen: u64,
    /// Datagrams that were cut.
    pub(crate) datagrams: u64,
    /// Datagrams whose fragments are not in order.
    pub(crate) shuffled: u64,
    /// Second copies.
    pub(crate) duplicated: u64,
}

/// The connections that carry SIP or WebSocket.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Tcp {
    pub(crate) connections: u64,
    /// Connections that the capture joins inside a message.
    pub(crate) midstream: u64,
    /// Every segment, with and without data.
    pub(crate) segments: u64,
    pub(crate) data_segments: u64,
    /// Segments with new data that a later part of their stream overtook.
    pub(crate) out_of_order: u64,
    /// Segments with bytes that were sent before: copies, parts, and overlaps.
    pub(crate) retransmitted: u64,
    /// Of these, segments that are no exact copy.
    pub(crate) overlapped: u64,
    /// CRLF or WebSocket pings, and their answers.
    pub(crate) keepalives: u64,
}

/// Packets that have nothing to do with telephony.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Noise {
    pub(crate) packets: u64,
    pub(crate) dns: u64,
    pub(crate) http: u64,
    pub(crate) tls: u64,
    pub(crate) udp: u64,
    pub(crate) arp: u64,
    /// HTTP bodies that quote SIP messages.
    pub(crate) quoted_sip: u64,
}

/// One call. A time is that of the packet which completes the message.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Call {
    pub(crate) call_id: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) transport: &'static str,
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) result: &'static str,
    pub(crate) status_code: Option<u16>,
    pub(crate) start: u64,
    /// First 18x.
    pub(crate) ringing: Option<u64>,
    /// First 200 to INVITE.
    pub(crate) answered: Option<u64>,
    /// The BYE, or the final answer that refused the call.
    pub(crate) end: Option<u64>,
    /// Of a call that was answered and ended.
    pub(crate) ended_by: Option<&'static str>,
    pub(crate) messages: u64,
    pub(crate) retransmissions: u64,
    pub(crate) rtp_packets: u64,
    pub(crate) rtcp_packets: u64,
    pub(crate) streams: Vec<Stream>,
    /// What has to be found of it: codes of findings, and `hold`, `fork`, `transfer` with what is told of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) signs: Vec<&'static str>,
    /// Call-ID of the first leg, of a call of two legs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// What shows that its legs belong together, in the words of the records; none where not enough does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) joined_by: Option<&'static str>,
}

/// One RTP stream of a call.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) payload_type: u8,
    pub(crate) packets: u64,
    pub(crate) lost: u64,
    pub(crate) reordered: u64,
    pub(crate) duplicated: u64,
}

/// Where in the list a call stands; none when the ledger keeps no list.
pub(crate) type Entry = Option<u32>;

impl Ledger {
    /// A message was sent.
    pub(crate) fn message(&mut self, step: &Step, transport: Transport, size: usize, entry: Entry) {
        let sip = &mut self.sip;
        sip.messages += 1;
        sip.bytes += size as u64;
        sip.largest = sip.largest.max(size);
        sip.smallest = if sip.smallest == 0 { size } else { sip.smallest.min(size) };
        *sip.transports.entry(transport.name()).or_default() += 1;
        match step.code {
            None => *sip.requests.entry(step.method.name()).or_default() += 1,
            Some(code) => *sip.responses.entry(code).or_default() += 1,
        }
        sip.with_sdp += u64::from(step.sdp);
        sip.retransmissions += u64::from(step.repeated);
        if let Some(call) = self.call(entry) {
            call.messages += 1;
            call.retransmissions += u64::from(step.repeated);
        }
    }

    /// A message was completed at `at`.
    pub(crate) fn stamp(&mut self, entry: Entry, mark: Mark, at: u64) {
        let Some(call) = self.call(entry) else {
            return;
        };
        match mark {
            Mark::Start => call.start = at,
            Mark::Ringing => call.ringing = call.ringing.or(Some(at)),
            Mark::Answered => call.answered = Some(at),
            Mark::End => call.end = Some(at),
            Mark::None | Mark::Confirmed => {}
        }
    }

    /// A call with this outcome begins.
    pub(crate) fn begin(&mut self, outcome: Outcome) {
        self.calls.total += 1;
        self.calls.answered += u64::from(matches!(outcome, Outcome::Success | Outcome::Open));
        *self.calls.by_result.entry(outcome.word()).or_default() += 1;
    }

    /// Puts a call on the list.
    pub(crate) fn enter(&mut self, call: Call) -> Entry {
        self.list.push(call);
        u32::try_from(self.list.len() - 1).ok()
    }

    /// The place of a stream in its call's list, on which it is put when it is not there yet. Its payload type is that of
    /// its latest media, not of what comes `aside`.
    pub(crate) fn stream(&mut self, entry: Entry, stream: Stream, aside: bool) -> usize {
        let is_it = |known: &Stream| {
            (known.ssrc, &known.source, &known.destination)
                == (stream.ssrc, &stream.source, &stream.destination)
        };
        let Some(call) = self.call(entry) else {
            self.rtp.streams += 1;
            return 0;
        };
        if let Some(place) = call.streams.iter().position(is_it) {
            if !aside {
                call.streams[place].payload_type = stream.payload_type;
            }
            return place;
        }
        call.streams.push(stream);
        let place = call.streams.len() - 1;
        self.rtp.streams += 1;
        place
    }

    /// The call of an entry.
    pub(crate) fn call(&mut self, entry: Entry) -> Option<&mut Call> {
        self.list.get_mut(entry? as usize)
    }

    /// Takes over the file's totals.
    pub(crate) fn close(&mut self, totals: Totals) {
        self.packets = totals.packets;
        self.bytes = totals.bytes;
        self.wire_bytes = totals.wire_bytes;
        self.cut = totals.cut;
        self.first_packet = totals.first;
        self.last_packet = totals.last;
    }
}
