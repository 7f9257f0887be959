//! What is wrong with a dialog's signalling, in the words of who has to repair it, with the message that shows it.

use super::reason::{Q850, is_fault};
use super::record::Side;
use super::session_timer::Overdue;
use super::{ByeChallenged, Challenge, RefusedAgain, Signalling, What};
use crate::call::dialog::{ALL_SENT, Dialog, T1, TRANSACTION_TIMEOUT};
use crate::call::findings::Finding;
use crate::call::record::{CallKind, CallRecord, CallResult, EndedBy};
use crate::sip::Method;
use crate::time::Timestamp;

/// So often a 2xx comes again before its ACK is missed, and a change before its answer: once may be a slow one.
const MISSED_AFTER: u32 = 2;

/// So often a 2xx comes again after its ACK was seen before that is missed where it should arrive: some are on their way.
const LOST_AFTER: u32 = 3;

fn finding(code: &'static str, text: String, at: Timestamp, message: &str) -> Finding {
    Finding { code, text, time: Some(at), message: Some(message.to_owned()).filter(|it| !it.is_empty()) }
}

/// What a dialog and its record show; `now` is how far the capture has come.
pub(in crate::call) fn findings(dialog: &Dialog, record: &CallRecord, now: Timestamp) -> Vec<Finding> {
    let signalling = &dialog.signalling;
    let mut findings = Vec::new();
    findings.extend(no_answer(record, dialog, dialog.request_seen()));
    findings.extend(given_up(record, dialog));
    findings.extend(authentication(record, dialog));
    findings.extend(registration(record, dialog));
    if record.kind != CallKind::Call {
        return findings;
    }
    findings.extend(unacknowledged(record, signalling));
    findings.extend(change_unacknowledged(signalling));
    findings.extend(refusals_unacknowledged(dialog));
    findings.extend(no_bye_answer(record, signalling, now));
    findings.extend(no_cancel_answer(signalling));
    findings.extend(no_change_answer(signalling));
    findings.extend(provisionals(record, signalling));
    findings.extend(notes(signalling));
    findings.extend(refusals(signalling));
    findings.extend(bye_challenged(signalling, now));
    findings.extend(transfers(record));
    findings.extend(session(record, signalling, dialog.last));
    findings.extend(abandoned(record, signalling));
    findings.extend(faults(record));
    findings
}

/// Who gives up before anything answered may send no CANCEL (RFC 3261 9.1), and some do. That nothing came is certain when the INVITE
/// was sent again: the first answer ends that (17.1.1.2).
fn no_answer(record: &CallRecord, dialog: &Dialog, asked: bool) -> Option<Finding> {
    let is_silent = !dialog.signalling.responded;
    let again = dialog.signalling.rare.as_ref().map_or(0, |rare| rare.requests_again);
    let is_given_up = record.result == CallResult::Cancelled && is_silent && again >= MISSED_AFTER;
    let is_missed = record.result == CallResult::Timeout || is_given_up;
    if !is_missed || record.status_code.is_some() || !asked {
        return None;
    }
    let asked_at = if is_given_up { dialog.attempted } else { dialog.progress };
    let method = &record.method;
    if is_silent {
        let times = times(u64::from(again) + 1);
        return Some(finding(
            "no_response",
            format!("nothing answered the {method}, sent {times}"),
            asked_at,
            method,
        ));
    }
    let (text, at, message) = match record.ringing {
        Some(at) => ("it rang, and then nothing came", at, "18x"),
        None => ("provisional answers, and then nothing came", asked_at, method.as_str()),
    };
    Some(finding("no_final_answer", text.to_owned(), at, message))
}

/// A CANCEL, or a BYE before the answer, makes the INVITE end with 487 (RFC 3261 9.2, 15.1.2). Where no answer at all was
/// captured, that one was not either.
fn given_up(record: &CallRecord, dialog: &Dialog) -> Option<Finding> {
    let is_seen =
        dialog.signalling.responded && record.status_code.is_none() && !dialog.branches.have_failed();
    if record.result != CallResult::Cancelled || !is_seen {
        return None;
    }
    let is_cancel = dialog.signalling.rare.as_ref().is_some_and(|rare| rare.cancel != 0);
    let text = "given up, and no final answer (487) came in 32 s".to_owned();
    Some(finding("no_final_answer", text, dialog.progress, if is_cancel { "CANCEL" } else { "BYE" }))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// Who has no credentials may still send them when the capture ends; those that were refused were refused.
fn authentication(record: &CallRecord, dialog: &Dialog) -> Option<Finding> {
    let status = record.status_code.filter(|status| matches!(status, 401 | 407))?;
    let is_refused = dialog.challenge == Challenge::Refused;
    if record.result != CallResult::Failed && !(is_refused && record.result == CallResult::Open) {
        return None;
    }
    let text = match dialog.challenge {
        Challenge::Plain => "no credentials followed the challenge",
        Challenge::Refused => "the credentials were refused",
        Challenge::Stale => "no credentials followed another challenge, for a new nonce (stale)",
        Challenge::Realm => "no credentials followed another challenge, of another realm",
    };
    Some(finding(
        "authentication_failed",
        text.to_owned(),
        dialog.progress,
        &format!("{status} to {}", record.method),
    ))
}

fn registration(record: &CallRecord, dialog: &Dialog) -> Vec<Finding> {
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
        finding("registered_late", text, dialog.registered_late().unwrap_or(end), "200 to REGISTER")
    });
    let contact = told.filter(|told| told.behind_nat).and_then(|told| told.contact.as_deref());
    let nat = contact.map(|contact| {
        let from = dialog.registered_from().map_or(record.source.to_string(), |from| from.to_string());
        let text = format!("the contact {contact} is not where the REGISTER came from, {from}");
        finding("contact_behind_nat", text, record.start, "REGISTER")
    });
    refused.into_iter().chain(late).chain(nat).collect()
}

/// A 2xx that came again until its sender gave up: no ACK came, or none that its sender got and took for one. Where the INVITE was not
/// captured, the ACK, which comes from the same end, is not missed.
fn unacknowledged(record: &CallRecord, signalling: &Signalling) -> Option<Finding> {
    let rare = signalling.rare.as_ref()?;
    if !signalling.acknowledged && !signalling.invited {
        return None;
    }
    let again = (rare.answers_again, rare.answers_after_ack);
    let text = missed_ack("the answer", signalling.acknowledged, again, "reach the callee")?;
    Some(finding("no_ack", text, record.answered?, "200 to INVITE"))
}

/// The same of a 2xx to a re-INVITE.
fn change_unacknowledged(signalling: &Signalling) -> Option<Finding> {
    let known = signalling.rare.as_ref()?.reanswered;
    let what = format!("the answer to the {}'s re-INVITE", known.by.name());
    let does_not = format!("reach the {}", known.by.other().name());
    let text = missed_ack(&what, known.is_acknowledged, (known.count, known.after_ack), &does_not)?;
    Some(finding("no_ack", text, known.at, "200 to INVITE"))
}

/// Whether the ACK of what came `again` so often, and so often after that ACK was seen, did not arrive.
pub(super) const fn is_ack_missed(is_acknowledged: bool, (again, after_ack): (u32, u32)) -> bool {
    if is_acknowledged { after_ack >= LOST_AFTER } else { again >= MISSED_AFTER }
}

/// That in words; none where it may have arrived.
fn missed_ack(what: &str, is_acknowledged: bool, again: (u32, u32), does_not: &str) -> Option<String> {
    let (count, after_ack) = again;
    is_ack_missed(is_acknowledged, again).then(|| {
        if is_acknowledged {
            format!("{what} was sent {after_ack} times again after its ACK: the ACK does not {does_not}")
        } else {
            format!("no ACK for {what}, which was sent {count} times again")
        }
    })
}

/// A refusal that came again until its sender gave up (RFC 3261 17.2.1, timers G and H). ACKs of refusals go over one hop, so it is
/// that hop on which they are lost.
fn refusals_unacknowledged(dialog: &Dialog) -> Vec<Finding> {
    let rare = dialog.signalling.rare.as_ref();
    let hops = rare.into_iter().flat_map(|rare| &rare.refused_again);
    let unacknowledged = hops.filter_map(|hop| {
        let RefusedAgain { branch, status, source, destination, count, after_ack, at } = *hop;
        let is_acknowledged = dialog.branches.is_acknowledged(branch.into());
        let refusal = format!("the {status} from {source} to {destination}");
        let text = missed_ack(&refusal, is_acknowledged, (count, after_ack), "arrive")?;
        Some(finding("no_ack", text, at, &format!("{status} to INVITE")))
    });
    unacknowledged.collect()
}

/// A BYE that was challenged and not sent again, or in vain: who sent it may still do so within the time of a request.
fn bye_challenged(signalling: &Signalling, now: Timestamp) -> Option<Finding> {
    let ByeChallenged { status, at, by, .. } = signalling.rare.as_ref()?.bye_challenged?;
    (now.since(at) >= TRANSACTION_TIMEOUT).then(|| {
        let (by, other) = (by.name(), by.other().name());
        let text = format!(
            "the {by}'s BYE was challenged with {status}, and none that was accepted followed: the {other} may not know \
             that it is over"
        );
        finding("bye_refused", text, at, &format!("{status} to BYE"))
    })
}

fn no_bye_answer(record: &CallRecord, signalling: &Signalling, now: Timestamp) -> Option<Finding> {
    let end = record.end.filter(|_| signalling.released && signalling.disconnect == 0)?;
    let rare = signalling.rare.as_ref();
    let again = rare.map_or(0, |rare| rare.byes_again.count);
    if rare.is_some_and(|rare| rare.bye_unseen || rare.bye_challenged.is_some()) {
        return None;
    }
    // Over UDP it comes again when nothing answers (RFC 3261 17.1.2.2): where it does not, the answer went another way.
    let is_missed = again > 0 || !record.transports.contains(&"udp");
    (is_missed && now.since(end) >= ALL_SENT).then(|| {
        let text = format!("nothing answered the BYE, sent {}", times(u64::from(again) + 1));
        finding("no_bye_answer", text, end, "BYE")
    })
}

/// A CANCEL that came again and again: whoever rings goes on ringing. Seen once, its answer went another way.
fn no_cancel_answer(signalling: &Signalling) -> Option<Finding> {
    let cancel = signalling.rare.as_ref()?.cancels_again;
    (cancel.count >= MISSED_AFTER).then(|| {
        finding(
            "no_cancel_answer",
            format!("nothing answered the CANCEL, sent {} times", cancel.count + 1),
            cancel.at,
            "CANCEL",
        )
    })
}

/// A re-INVITE or an UPDATE that came again and again. Seen once, its answer went another way.
fn no_change_answer(signalling: &Signalling) -> Option<Finding> {
    let change = signalling.rare.as_ref()?.changes_again;
    (change.count >= MISSED_AFTER).then(|| {
        let (by, method) = (change.by.name(), change.method.name());
        let text = format!(
            "nothing answered the {by}'s {}, sent {} times",
            change_name(change.method),
            change.count + 1
        );
        finding("no_change_answer", text, change.at, method)
    })
}

/// What a change is called.
const fn change_name(method: Method) -> &'static str {
    if matches!(method, Method::Invite) { "re-INVITE" } else { method.name() }
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
    all.into_iter().filter_map(|what| signalling.noted(what)).filter_map(|note| {
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
                "422",
            ),
            What::ChangeRefused(..) | What::ByeRefused(_) => return None,
        };
        Some(finding(code, format!("{text} (CSeq {})", note.cseq), note.at, message))
    })
}

/// The first change, and the first BYE, that was refused. 481 and 408 end the dialog (RFC 3261 12.2.1.2, 15.1.1).
fn refusals(signalling: &Signalling) -> impl Iterator<Item = Finding> {
    let notes = || signalling.rare.iter().flat_map(|rare| &rare.notes);
    let change = notes().find_map(|note| match note.what {
        What::ChangeRefused(method, status) => Some((note, "change_refused", method, status)),
        _ => None,
    });
    let bye = notes().find_map(|note| match note.what {
        What::ByeRefused(status) => Some((note, "bye_refused", Method::Bye, status)),
        _ => None,
    });
    change.into_iter().chain(bye).map(|(note, code, method, status)| {
        let (by, other) = (note.by.name(), note.by.other().name());
        let why = match status {
            481 => format!(", the {other} did not know the call any more"),
            408 => format!(", the {other} was not reached"),
            _ => String::new(),
        };
        let text = format!("the {by}'s {} was refused: {status}{why}", change_name(method));
        finding(code, text, note.at, &format!("{status} to {}", method.name()))
    })
}

fn transfers(record: &CallRecord) -> impl Iterator<Item = Finding> {
    record.signalling.transfers.iter().filter_map(|transfer| {
        let status = transfer.status_code.filter(|_| transfer.is_refused())?;
        // Whom to is told in `transfers`: findings name no user without a scheme, for nobody could mask a name alone.
        let text = format!("the {}'s transfer failed: {status}", transfer.by.name());
        Some(finding("transfer_failed", text, transfer.time, "REFER"))
    })
}

fn session(record: &CallRecord, signalling: &Signalling, last: Timestamp) -> Option<Finding> {
    record.answered?;
    let timer = signalling.timer.as_ref()?;
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
    let is_transferred = signalling.is_replaced || transfers.any(|transfer| !transfer.is_refused());
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
