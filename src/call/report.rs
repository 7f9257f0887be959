//! A dialog as it is told: its record and its events.

use std::cmp::Reverse;

use super::dialog::{Dialog, Step};
use super::findings::findings;
use super::media_record::{FaxRecord, MediaRecord};
use super::record::{CallEvent, CallKind, CallRecord, CallResult};
use super::signalling;
use super::tracker::Tracker;
use crate::flow::Endpoint;
use crate::media::{CallMedia, CallRef};
use crate::sip::header::text;
use crate::sip::{SipTransport, uri};
use crate::time::Timestamp;

/// Streams told of one call.
const MAX_STREAMS: usize = 256;

/// Flows of a fax told of one call: it has two. Attack: packets from everywhere to its port.
const MAX_FAXES: usize = 16;

/// Streams of all calls that ended before their call did, of about 600 bytes each, flows of faxes, and what RTCP says of
/// streams.
const MAX_ARCHIVED: usize = 65_536;

/// How much is kept of flows that were others' before their calls ended.
#[derive(Debug, Default)]
pub(super) struct Archive {
    kept: usize,
}

impl Tracker {
    /// The media of a dialog as far as it is told of, and how many streams are left out of that: those with the fewest packets.
    pub(super) fn told_media(&self, slot: u32, dialog: &Dialog) -> (CallMedia, u64) {
        let call = CallRef { slot, generation: dialog.generation };
        let mut media = dialog.archived().cloned().unwrap_or_default();
        for announced in &dialog.endpoints {
            self.media.report(call, announced.id, &mut media);
        }
        let left_out = media.streams.len().saturating_sub(MAX_STREAMS);
        if left_out > 0 {
            media.streams.sort_by_key(|report| Reverse(report.stream.packets()));
            media.streams.truncate(MAX_STREAMS);
            media.left_out += left_out as u64;
        }
        media.streams.sort_by_key(|report| (report.stream.first(), report.stream.ssrc));
        media.faxes.sort_by_key(|fax| fax.first);
        media.faxes.truncate(MAX_FAXES);
        (media, left_out as u64)
    }

    /// Everything known of a dialog, with its media.
    pub(super) fn record(&self, slot: u32, dialog: &Dialog, media: CallMedia) -> CallRecord {
        let record = dialog.record();
        // Of a call that is still up, media tells better than signalling how long it has been.
        let heard = media.streams.iter().map(|report| report.stream.latest()).max().unwrap_or_default();
        let up = dialog.answered.filter(|_| dialog.end.is_none());
        let duration = up.map(|answered| seconds(answered, heard.max(dialog.last)));
        let streams = media.streams.iter().map(|report| MediaRecord::of(report, &media.heard)).collect();
        let mut record = CallRecord {
            duration_seconds: duration.or(record.duration_seconds),
            media: streams,
            media_left_out: media.left_out,
            rtp_packets: media.rtp,
            rtcp_packets: media.rtcp,
            udptl_packets: media.udptl,
            fax: media.faxes.iter().map(FaxRecord::from).collect(),
            ..record
        };
        (record.session, record.legs) = self.told_legs(slot);
        record.findings = signalling::findings(dialog, &record, self.stamp());
        record.findings.extend(self.unreached(dialog));
        record.findings.extend(findings(&record, dialog.announced(), &dialog.directed()));
        if !self.settings.digits {
            record.media.iter_mut().for_each(|stream| stream.dtmf = None);
            record.signalling.info_dtmf.iter_mut().for_each(|pressed| pressed.dtmf = None);
        }
        record
    }
}

impl Archive {
    /// Keeps what a flow was like that is not followed for that call from now on, as far as there is room; tells how many streams
    /// had none.
    pub(super) fn keep(&mut self, dialog: &mut Dialog, media: CallMedia) -> u64 {
        let kept = &mut dialog.media.get_or_insert_default().archived;
        kept.rtp += media.rtp;
        kept.rtcp += media.rtcp;
        kept.udptl += media.udptl;
        let left_out = self.fill(&mut kept.streams, media.streams, MAX_STREAMS);
        kept.left_out += media.left_out + left_out;
        self.fill(&mut kept.faxes, media.faxes, MAX_FAXES);
        self.fill(&mut kept.heard, media.heard, MAX_STREAMS);
        left_out
    }

    /// Adds to a list of at most `most`; tells how many had no room.
    fn fill<T>(&mut self, list: &mut Vec<T>, more: Vec<T>, most: usize) -> u64 {
        let room = most.saturating_sub(list.len()).min(MAX_ARCHIVED.saturating_sub(self.kept));
        let (before, left_out) = (list.len(), more.len().saturating_sub(room));
        list.extend(more.into_iter().take(room));
        self.kept += list.len() - before;
        left_out as u64
    }

    /// The call is over, and was told.
    pub(super) fn forget(&mut self, dialog: &mut Dialog) {
        let kept = dialog.archived().map(|it| it.streams.len() + it.faxes.len() + it.heard.len());
        self.kept = self.kept.saturating_sub(kept.unwrap_or_default());
        // The slot's next call is to begin with no more than it needs.
        dialog.media = None;
    }
}

impl Dialog {
    /// What the dialog itself knows; media is the tracker's to add.
    pub(super) fn record(&self) -> CallRecord {
        let last = self.end.unwrap_or(self.last);
        CallRecord {
            call_id: text(self.call_id()),
            kind: self.kind.unwrap_or(CallKind::Other),
            from: text(uri::display(self.from())),
            to: text(uri::display(self.to())),
            request_uri: some_text(self.request_uri()),
            method: text(self.token()),
            result: self.result.unwrap_or(CallResult::Open),
            status_code: (self.status != 0).then_some(self.status),
            reason: some_text(self.reason()),
            start: self.start,
            ringing: self.ringing,
            answered: self.answered,
            end: self.end,
            duration_seconds: self.answered.map(|answered| seconds(answered, last)),
            setup_seconds: self
                .answered
                .filter(|_| self.is_attempt())
                .map(|answered| seconds(self.attempted, answered)),
            post_dial_delay_seconds: self
                .first_ring()
                .filter(|_| self.is_attempt())
                .map(|first| seconds(self.attempted, first)),
            ended_by: self.ended_by,
            end_reason: some_text(self.end_reason()),
            transports: self.transports().collect(),
            source: self.source,
            destination: self.destination,
            user_agents: self.user_agents(),
            media: Vec::new(),
            media_left_out: 0,
            media_endpoints: self.media_endpoints().map(|endpoint| endpoint.to_string()).collect(),
            codecs: self.codecs().iter().map(|codec| codec.as_str().to_owned()).collect(),
            messages: self.messages.into(),
            retransmissions: self.retransmissions.into(),
            duplicates: self.duplicates.into(),
            rtp_packets: 0,
            rtcp_packets: 0,
            udptl_packets: 0,
            fax: Vec::new(),
            forks: self.signalling.answer_tags.count(),
            reinvites: self.reinvites,
            updates: self.updates,
            authenticated: self.authenticated,
            signalling: self.signalling_record(),
            session: None,
            legs: Vec::new(),
            findings: Vec::new(),
            pcap: None,
        }
    }

    /// A step of this dialog, or its beginning, as it stands now.
    pub(super) fn event(&self, step: Option<Step>, kept: bool) -> CallEvent {
        let (event, timestamp) = match step {
            None => ("start", Some(self.start)),
            Some(Step::Ringing) => ("ringing", self.ringing),
            Some(Step::Answered) => ("answered", self.answered),
            Some(Step::Ended) => ("end", self.end),
        };
        let timestamp = timestamp.unwrap_or(self.last);
        let is_end = step == Some(Step::Ended);
        let is_answer = is_end || step == Some(Step::Answered);
        CallEvent {
            timestamp,
            call_id: text(self.call_id()),
            kind: self.kind.unwrap_or(CallKind::Other),
            event,
            method: text(self.token()),
            from: text(uri::display(self.from())),
            to: text(uri::display(self.to())),
            source: self.source,
            destination: self.destination,
            status_code: (is_answer && self.status != 0).then_some(self.status),
            reason: is_answer.then(|| some_text(self.reason())).flatten(),
            result: self.result.filter(|_| is_end),
            duration_seconds: self.answered.filter(|_| is_end).map(|answered| seconds(answered, timestamp)),
            request_uri: some_text(self.request_uri()),
            ended_by: self.ended_by.filter(|_| is_end),
            end_reason: is_end.then(|| some_text(self.end_reason())).flatten(),
            authenticated: self.authenticated,
            unregisters: self.unregisters,
            kept,
        }
    }

    /// In order of appearance; one that is folded in two ways is one.
    fn user_agents(&self) -> Vec<String> {
        let mut agents = Vec::new();
        for agent in self.agents().map(text) {
            if !agents.contains(&agent) {
                agents.push(agent);
            }
        }
        agents
    }

    fn media_endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.announced().filter(|announced| !announced.is_rtcp).map(|announced| announced.endpoint)
    }

    fn first_ring(&self) -> Option<Timestamp> {
        [self.ringing, self.answered].into_iter().flatten().min()
    }

    fn transports(&self) -> impl Iterator<Item = &'static str> {
        let seen = self.transports;
        let used = SipTransport::ALL.into_iter().filter(move |transport| seen & 1 << *transport as u8 != 0);
        used.map(SipTransport::name)
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_secs_f64()
}

fn some_text(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| text(bytes))
}
