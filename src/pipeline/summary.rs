//! What the stages counted, put together for the end of a run.

use super::Outcome;
use crate::sink::{
    CallCounts, CaptureLoss, FileCounters, FragmentCounts, PacketKinds, PerformanceSummary, ResultCounts,
    RtcpCounts, RtpCounts, SipCounts, Summary, TcpCounts, TlsSummary, TransportCounts,
};

impl Outcome {
    /// The summary of the run; `files` counted what was written of calls.
    #[must_use]
    pub fn summary(&self, files: Option<&FileCounters>) -> Summary {
        let defrag = &self.defrag;
        let mut summary = Summary {
            files: self.source.files,
            packets: self.intake.packets,
            bytes: self.intake.bytes,
            first_packet: self.intake.first,
            last_packet: self.intake.last,
            packets_by: self.packet_kinds(),
            sip: self.sip(),
            calls: self.calls(),
            registrations: self.census.registrations,
            bindings: self.census.bindings,
            performance: PerformanceSummary::new(&self.census.performance),
            rtp: RtpCounts { packets: self.media.rtp, streams: self.media.streams },
            rtcp: RtcpCounts { packets: self.media.rtcp },
            fragments: FragmentCounts {
                seen: self.intake.fragments,
                reassembled: defrag.reassembled,
                failed: defrag.failed(),
            },
            tcp: TcpCounts {
                streams: self.reassembly.streams,
                gaps: self.reassembly.reassembly_gaps,
                midstream: self.reassembly.midstream_pickups,
                retransmitted_segments: self.reassembly.retransmitted_segments,
                out_of_order_segments: self.reassembly.out_of_order_segments,
            },
            capture_loss: CaptureLoss {
                tcp_holes: self.reassembly.acknowledged_gaps,
                rtp_moments: self.media.lost_by_capture.0,
                rtp_packets: self.media.lost_by_capture.1,
            },
            tls: TlsSummary::new(&self.tls, self.intake.last),
            files_written: files.map_or(0, |files| files.files_written),
            ..Summary::default()
        };
        self.drops(&mut summary);
        if let Some(files) = files {
            summary.dropped("files", "not_written", files.frames_lost);
            summary.dropped("files", "unwritable_link", files.frames_unwritable);
            summary.dropped("files", "write_errors", files.write_errors);
        }
        summary
    }

    fn packet_kinds(&self) -> PacketKinds {
        let (intake, worker) = (&self.intake, &self.worker);
        let rtp = self.media.rtp - self.media.fragmented.0;
        let rtcp = self.media.rtcp - self.media.fragmented.1;
        PacketKinds {
            sip: worker.sip_datagrams + worker.sip_segments + worker.sip_sctp,
            rtp,
            rtcp,
            tcp_other: worker.other_segments,
            udp_other: (self.order.udp + worker.not_sip).saturating_sub(rtp + rtcp),
            fragment: intake.fragments,
            ip_other: intake.icmp + intake.other_ip + worker.other_sctp,
            non_ip: intake.non_ip,
            filtered: intake.filtered,
            error: intake.errors.values().sum(),
        }
    }

    fn sip(&self) -> SipCounts {
        let census = &self.census;
        let [udp, tcp, tls, ws, wss, sctp] = census.transports;
        let (call_ids, call_ids_estimated) = census.call_ids();
        SipCounts {
            messages: census.messages,
            requests: census.requests(),
            responses: census.responses(),
            transports: TransportCounts { udp, tcp, tls, ws, wss, sctp },
            retransmissions: census.retransmissions,
            duplicates: census.duplicates,
            malformed: census.malformed,
            quoted_in_icmp: self.intake.quoted_in_icmp,
            with_sdp: census.with_sdp,
            call_ids,
            call_ids_estimated,
        }
    }

    fn calls(&self) -> CallCounts {
        let [success, failed, timeout, cancelled, busy, redirected, open] = self.census.results;
        CallCounts {
            total: self.census.calls,
            kept: self.census.kept,
            answered: self.census.answered,
            by_result: ResultCounts { success, failed, timeout, cancelled, busy, redirected, open },
        }
    }

    /// Everything that a stage took in and did not give out, by its reason.
    fn drops(&self, summary: &mut Summary) {
        let (defrag, tcp, streams) = (&self.defrag, &self.reassembly, &self.streams);
        summary.dropped("capture", "queue_full", self.live.queue_full);
        summary.dropped("capture", "unread_at_end", self.live.unread);
        for (_, interface) in &self.interfaces {
            summary.dropped("capture", "kernel", interface.kernel_drops);
            summary.dropped("capture", "interface", interface.interface_drops);
        }
        for (error, count) in &self.intake.errors {
            summary.dropped("decode", error.name(), *count);
        }
        let rows = [
            ("source", "truncated", self.source.truncated),
            ("source", "bad_record", self.source.bad_record),
            ("source", "deleted", self.source.deleted),
            ("source", "cut", self.intake.cut),
            ("source", "stamp_backward", self.backward),
            ("source", "stamp_wild", self.wild),
            ("defrag", "expired", defrag.expired),
            ("defrag", "evicted", defrag.evicted),
            ("defrag", "unfinished", defrag.unfinished),
            ("defrag", "overlaps", defrag.overlaps),
            ("defrag", "duplicates", defrag.duplicates),
            ("defrag", "conflicts", defrag.conflicts),
            ("defrag", "bad_length", defrag.bad_length),
            ("defrag", "inconsistent", defrag.inconsistent),
            ("defrag", "cut", defrag.cut),
            ("defrag", "oversize", defrag.oversize),
            ("defrag", "undecoded", self.intake.undecoded_datagrams),
            ("tcp", "gap_bytes", tcp.gap_bytes),
            ("tcp", "overlap_bytes", tcp.overlap_bytes),
            ("tcp", "segment_memcap_drop", tcp.segment_memcap_drop),
            ("tcp", "strange_segments", tcp.strange_segments),
            ("tcp", "dropped_bytes", tcp.dropped_bytes),
            ("tcp", "streams_evicted", tcp.streams_evicted),
            ("tcp", "streams_shed", tcp.streams_shed),
            ("tcp", "not_sip_streams", streams.rejected_streams),
            ("tcp", "tls_streams", streams.tls_streams),
            ("sip", "skipped_bytes", streams.skipped_bytes),
            ("sip", "oversize_bytes", streams.oversize_bytes),
            ("sip", "incomplete", streams.incomplete),
            ("sip", "truncated", self.census.truncated),
            ("sip", "extra_bytes", self.census.extra_bytes),
            ("sip", "without_call_id", self.census.without_call_id),
            ("sip", "sdp_without_media", self.census.sdp_without_media),
            ("sctp", "pieces", self.worker.sctp_pieces),
            ("sctp", "repeated", self.worker.sctp_repeated),
            ("calls", "evicted", self.census.evicted),
            ("calls", "legs", self.census.legs_dropped),
            ("calls", "bindings_evicted", self.census.bindings.evicted),
            ("media", "unclaimed_flows", self.media.unclaimed_expired),
            ("media", "flows_evicted", self.media.flows_evicted),
            ("media", "streams_left_out", self.census.streams_left_out + self.media.streams_left_out),
            ("media", "endpoints_left_out", self.census.endpoints_left_out),
        ];
        rows.into_iter().for_each(|(stage, reason, count)| summary.dropped(stage, reason, count));
    }
}
