//! Records and events without what is not to be told.
//!
//! Every field is named: a new one does not compile until somebody has decided what it may tell.

use super::mask::{free_text, user};
use crate::call::{
    CallEvent, CallRecord, CauseRecord, Finding, LegRecord, MediaRecord, RegistrationRecord,
    SignallingRecord, TransferRecord,
};

/// Masks texts with users and numbers in them.
fn texts<'a>(texts: impl IntoIterator<Item = &'a mut String>) {
    texts.into_iter().for_each(|text| *text = free_text(text));
}

fn parties<'a>(parties: impl IntoIterator<Item = &'a mut String>) {
    parties.into_iter().for_each(|party| *party = user(party));
}

pub(super) fn mask_record(record: &mut CallRecord) {
    let CallRecord {
        from,
        to,
        request_uri,
        reason,
        end_reason,
        signalling,
        media,
        legs,
        findings,
        // Call-IDs and names of files that are made without parties.
        call_id: _,
        session: _,
        pcap: _,
        // Addresses, and what devices call themselves, their codecs and methods.
        source: _,
        destination: _,
        media_endpoints: _,
        user_agents: _,
        codecs: _,
        method: _,
        // Our words.
        kind: _,
        result: _,
        ended_by: _,
        transports: _,
        // Times, codes and counts.
        status_code: _,
        start: _,
        ringing: _,
        answered: _,
        end: _,
        duration_seconds: _,
        setup_seconds: _,
        post_dial_delay_seconds: _,
        messages: _,
        retransmissions: _,
        duplicates: _,
        media_left_out: _,
        rtp_packets: _,
        rtcp_packets: _,
        udptl_packets: _,
        // Addresses, times and counts.
        fax: _,
        forks: _,
        reinvites: _,
        updates: _,
        authenticated: _,
    } = record;
    parties([from, to]);
    texts([request_uri, reason, end_reason].into_iter().flatten());
    mask_signalling(signalling);
    media.iter().for_each(stream);
    legs.iter().for_each(leg);
    for Finding { text, message, code: _, time: _ } in findings {
        texts(message.iter_mut().chain([text]));
    }
}

fn mask_signalling(signalling: &mut SignallingRecord) {
    let SignallingRecord {
        transfers,
        end_causes,
        registration,
        // Call-IDs.
        replaces: _,
        replaced_by: _,
        // Which keys is told or not by `privacy.dtmf`, where they are counted.
        info_dtmf: _,
        // Addresses, times and counts.
        early_dialogs: _,
        reliable_provisionals: _,
        unacknowledged_provisionals: _,
        holds: _,
        glares: _,
        overlap_invites: _,
        session_timer: _,
        response_seconds: _,
        disconnect_seconds: _,
        retransmissions_by_hop: _,
    } = signalling;
    for TransferRecord { to, time: _, by: _, attended: _, status_code: _ } in transfers {
        parties([to]);
    }
    for CauseRecord { protocol, text, cause: _ } in end_causes {
        texts(text.iter_mut().chain([protocol]));
    }
    if let Some(registration) = registration {
        let RegistrationRecord { contact, expires_seconds: _, refreshes: _, behind_nat: _, late_seconds: _ } =
            registration;
        texts(contact);
    }
}

/// A leg has a Call-ID as the record has, and names nobody.
const fn leg(leg: &LegRecord) {
    let LegRecord {
        call_id: _,
        // Addresses.
        source: _,
        destination: _,
        // Our words, or the user's.
        joined_by: _,
        evidence: _,
        // Times and numbers.
        start: _,
        first_response: _,
        ringing: _,
        final_response: _,
        status_code: _,
        score: _,
    } = leg;
}

/// A stream names nobody.
const fn stream(stream: &MediaRecord) {
    let MediaRecord {
        // Addresses, and what devices call their codecs.
        source: _,
        destination: _,
        kind: _,
        codec: _,
        // Told or not by `privacy.dtmf`.
        dtmf: _,
        // Our words.
        mos_missing: _,
        delay_source: _,
        // Times and numbers.
        ssrc: _,
        payload_type: _,
        encrypted: _,
        packets: _,
        expected: _,
        lost: _,
        missing: _,
        lost_by_capture: _,
        duplicates: _,
        reordered: _,
        discarded: _,
        bursts: _,
        restarts: _,
        timestamp_leaps: _,
        jitter_ms: _,
        max_jitter_ms: _,
        max_delta_ms: _,
        packet_ms: _,
        clock_drift_ppm: _,
        markers: _,
        digits: _,
        mos: _,
        r_factor: _,
        delay_ms: _,
        far_end: _,
        start: _,
        end: _,
        first_number: _,
        codec_since: _,
        is_nothing: _,
        unannounced: _,
        pauses: _,
        pressed: _,
    } = stream;
}

pub(super) fn mask_event(event: &mut CallEvent) {
    let CallEvent {
        from,
        to,
        reason,
        request_uri,
        end_reason,
        // A Call-ID, a method, addresses.
        call_id: _,
        method: _,
        source: _,
        destination: _,
        // Our words, times and codes.
        timestamp: _,
        kind: _,
        event: _,
        status_code: _,
        result: _,
        duration_seconds: _,
        ended_by: _,
        authenticated: _,
        unregisters: _,
        kept: _,
    } = event;
    parties([from, to]);
    texts([request_uri, reason, end_reason].into_iter().flatten());
}
