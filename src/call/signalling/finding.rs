//! What is wrong with a dialog's signalling, in the words of who has to repair it, with the message that shows it.

use std::time::Duration;

use super::reason::{Q850, is_fault};
use super::record::{Side, TransferRecord};
use super::session_timer::Overdue;
use super::{Signalling, What};
use crate::call::dialog::{Dialog, TRANSACTION_TIMEOUT};
use crate::call::findings::Finding;
use crate::call::record::{CallKind, CallRecord, CallResult, EndedBy};
use crate::time::Timestamp;

/// T1 (RFC 3261 17.1.1.1): what is not acknowledged within is sent again.
const T1: Duration = Duration::from_millis(500);

/// So often a 2xx comes again before its ACK is missed: once may be a slow ACK.
const MISSED_AFTER: u32 = 2;

fn finding(code: &'static str, text: String, at: Timestamp, message: &str) -> Finding {
    Finding { code, text, time: Some(at), message: Some(message.to_owned()).filter(|it| !it.is_empty()) }
}

/// What a dialog and its record show; `now` is how far the capture has come.
pub(in crate::call) fn findings(dialog: &Dialog, record: &CallRecord, now: Timestamp) -> Vec<Finding> {
    let signalling = &dialog.signalling;
    let mut findings = Vec::new();
    findings.extend(no_answer(record, dialog, dialog.request_seen()));
    findings.extend(authentication(record, dialog.progress));
    findings.extend(registration(record));
    if record.kind != CallKind::Call {
        return findings;
    }
    findings.extend(unacknowledged(record, signalling));
    findings.extend(no_bye_answer(record, signalling, now));
    findings.extend(provisionals(record, signalling));
    findings.extend(notes(signalling));
    findings.extend(transfers(record));
    findings.extend(session(record, signalling, dialog.last));
    findings.extend(abandoned(record, signalling));
    findings.extend(faults(record));
    findings
}

fn no_answer(record: &CallRecord, dialog: &Dialog, asked: bool) -> Option<Finding> {
    if record.result != CallResult::Timeout || record.status_code.is_some() || !asked {
        return None;
    }
    let (method, asked_at) = (&record.method, dialog.progress);
    if !dialog.signalling.responded {
        let times = times(record.retransmissions + 1);
        return Some(finding(
            "no_response",
            format!("nothing answered the {method}, sent {times}"),
            asked_at,
            method,
        ));
    }
    let (text, at, message) = match record.ringing {
        Some(at) => ("it rang, and then nothing came for three minutes", at, "18x"),
        None => ("provisional answers, and then nothing came", asked_at, method.as_str()),
    };
    Some(finding("no_final_answer", text.to_owned(), at, message))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn authentication(record: &CallRecord, challenged_at: Timestamp) -> Option<Finding> {
    let status = record.status_code.filter(|status| matches!(status, 401 | 407))?;
    if record.result != CallResult::Failed {
        return None;
    }
    let text = if record.authenticated {
        "the credentials were refused"
    } else {
        "no credentials followed the challenge"
    };
    Some(finding(
        "authentication_failed",
        text.to_owned(),
        challenged_at,
        &format!("{status} to {}", record.method),
    ))
}

fn registration(record: &CallRecord) -> Vec<Finding> {
    if record.kind != CallKind::Registration {
        return Vec::new();
    }
    let end = record.end.unwrap_or(record.start);
    let status = record.status_code.filter(|status| *status >= 300 && !matches!(status, 401 | 407));
    let refused = status.filter(|_| record.result == CallResult::Failed).map(|status| {
        let reason = record.reason.as_deref().unwrap_or_default();
        let text = format!("the registrar refused: {status} {reason}");
        finding("registration_refused", text, end, &format!("{status} to REGISTER"))
    });
    let told = record.signalling.registration.as_ref();
    let late = told.and_then(|told| told.late_seconds).map(|late| {
        let text = format!("the phone could not be reached: its binding had been over for {late:.1} s");
        finding("registered_late", text, end, "200 to REGISTER")
    });
    let contact = told.filter(|told| told.behind_nat).and_then(|told| told.contact.as_deref());
    let nat = contact.map(|contact| {
        let text = format!("the contact {contact} is not where the REGISTER came from, {}", record.source);
        finding("contact_behind_nat", text, record.start, "REGISTER")
    });
    refused.into_iter().chain(late).chain(nat).collect()
}

/// A 2xx that came again until its sender gave up: no ACK came that the sender took for one.
fn unacknowledged(record: &CallRecord, signalling: &Signalling) -> Option<Finding> {
    let again = signalling.rare.as_ref()?.answers_again;
    let answered = record.answered.filter(|_| !signalling.acknowledged && again >= MISSED_AFTER)?;
    let text = format!("no ACK for the answer, which was sent {again} times again");
    Some(finding("no_ack", text, answered, "200 to INVITE"))
}

fn no_bye_answer(record: &CallRecord, signalling: &Signalling, now: Timestamp) -> Option<Finding> {
    let end = record.end.filter(|_| signalling.released && signalling.disconnect == 0)?;
    let again = signalling.rare.as_ref().map_or(0, |rare| rare.byes_again);
    // Over UDP it comes again when nothing answers (RFC 3261 17.1.2.2): where it does not, the answer went another way.
    let is_missed = again > 0 || !record.transports.contains(&"udp");
    (is_missed && now.since(end) >= TRANSACTION_TIMEOUT).then(|| {
        let text = format!("nothing answered the BYE, sent {}", times(u64::from(again) + 1));
        finding("no_bye_answer", text, end, "BYE")
    })
}

fn provisionals(record: &CallRecord, signalling: &Signalling) -> Option<Finding> {
    let waiting = &signalling.rare.as_ref()?.reliable;
    let until = record.answered.or(record.end)?;
    let &(sequence, _, at) = waiting.iter().find(|(.., at)| until.since(*at) >= T1)?;
    let text = format!("no PRACK for the reliable provisional answer of RSeq {sequence}");
    Some(finding("prack_missing", text, at, "1xx to INVITE"))
}

fn notes(signalling: &Signalling) -> impl Iterator<Item = Finding> {
    let all = [What::Glare, What::CancelRace, What::SecondAnswer, What::IntervalTooSmall];
    all.into_iter().filter_map(|what| signalling.noted(what)).map(|note| {
        let by = note.by.name();
        let (code, text, message) = match note.what {
            What::Glare => (
                "glare",
                format!("both ends asked for a change at once: that of the {by} was refused"),
                "491",
            ),
            What::CancelRace => (
                "cancel_race",
                "the answer came as the caller gave up: CANCEL and 200 crossed".to_owned(),
                "CANCEL, 200",
            ),
            What::SecondAnswer => (
                "answered_twice",
                "a second 200, with another To-tag: two branches of a fork answered".to_owned(),
                "200 to INVITE",
            ),
            What::IntervalTooSmall => (
                "session_interval_too_small",
                "the session interval was refused as too small".to_owned(),
                "422 to INVITE",
            ),
        };
        finding(code, format!("{text} (CSeq {})", note.cseq), note.at, message)
    })
}

fn transfers(record: &CallRecord) -> impl Iterator<Item = Finding> {
    record.signalling.transfers.iter().filter_map(|transfer| {
        let status = transfer.status_code.filter(|status| *status >= 300)?;
        // Whom to is told in `transfers`: findings name no user without a scheme, for nobody could mask a name alone.
        let text = format!("the {}'s transfer failed: {status}", transfer.by.name());
        Some(finding("transfer_failed", text, transfer.time, "REFER"))
    })
}

fn session(record: &CallRecord, signalling: &Signalling, last: Timestamp) -> Option<Finding> {
    record.answered?;
    let timer = &signalling.timer;
    let end = record.end.unwrap_or(last);
    let (overdue, since) = timer.overdue(end)?;
    let (seconds, interval) = (since.as_secs_f64(), timer.interval());
    let who = timer.refresher().name();
    match overdue {
        // Only a BYE says that it ended then.
        Overdue::Ended if signalling.released => {
            let text = format!(
                "ended {seconds:.1} s after the last refresh of a session of {interval} s: the {who} was to refresh it"
            );
            Some(finding("session_expired", text, end, "BYE"))
        }
        Overdue::Ended => None,
        Overdue::WentOn => {
            let text = format!(
                "went on for {seconds:.1} s without the {who}'s refresh of a session of {interval} s"
            );
            Some(finding("session_not_refreshed", text, end, if signalling.released { "BYE" } else { "" }))
        }
    }
}

/// Who was held hung up. Who was transferred did not give up, nor who goes on in the dialog that replaced this one: its end
/// hangs up here once it has taken that (RFC 3891 3, RFC 5589 7).
fn abandoned(record: &CallRecord, signalling: &Signalling) -> Option<Finding> {
    let mut transfers = record.signalling.transfers.iter();
    let is_refused = |it: &TransferRecord| it.status_code.is_some_and(|status| status >= 300);
    let is_transferred = signalling.is_replaced || !transfers.all(is_refused);
    let end = record.end.filter(|_| signalling.released && !is_transferred)?;
    let held = match record.ended_by? {
        EndedBy::Caller => Side::Caller,
        EndedBy::Callee => Side::Callee,
        EndedBy::Network => return None,
    };
    let hold = signalling.rare.as_ref()?.holds.get(held.other() as usize)?;
    let waited = end.since(hold.since?).as_secs_f64();
    let text = format!("the {} hung up after {waited:.1} s on hold", held.name());
    Some(finding("abandoned_on_hold", text, end, "BYE"))
}

fn faults(record: &CallRecord) -> Option<Finding> {
    let causes = record.signalling.end_causes.iter().filter(|it| it.protocol == Q850);
    let fault =
        causes.filter_map(|it| Some((it.cause?, it.text.as_deref()))).find(|(cause, _)| is_fault(*cause));
    let (cause, meaning) = fault?;
    let text = format!("the network gave up: Q.850 cause {cause}, {}", meaning.unwrap_or("not named there"));
    Some(finding("network_fault", text, record.end.unwrap_or(record.start), "Reason"))
}
