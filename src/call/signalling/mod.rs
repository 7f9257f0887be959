//! What goes on inside a dialog's transactions: holds, transfers, session timers, answers that are missing.
//!
//! In: first copies of messages, and retransmissions. Out: a [`SignallingRecord`] and findings when the dialog is over.
//! What every dialog has stands in [`Signalling`] itself; what few have, in a box. All lists are bounded: what a flood
//! adds beyond is not told.

mod answer_tags;
mod change;
mod challenge;
#[cfg(test)]
mod direction_tests;
mod dtmf;
#[cfg(test)]
mod ending_tests;
mod finding;
#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod hold_tests;
mod pace;
mod passing;
#[cfg(test)]
mod query_tests;
mod reanswered;
#[cfg(test)]
mod reanswered_tests;
mod reason;
mod record;
mod registration;
mod report;
mod session_timer;
mod sides;
#[cfg(test)]
mod taken_tests;
#[cfg(test)]
mod tests;
mod transfer;
mod trickle;
mod unreached;

use std::time::Duration;

use smallvec::SmallVec;

use self::answer_tags::{AnswerTags, EARLY, OPEN, UP};
pub(super) use self::challenge::Challenge;
use self::change::{Change, Hold};
use self::dtmf::Pressed;
pub(crate) use self::dtmf::key_of_info;
use self::pace::Pace;
use self::reanswered::Reanswered;
pub(super) use self::registration::Registered;
use self::session_timer::SessionTimer;
use self::sides::Sides;
use self::transfer::Transfer;
use self::trickle::Section;
pub use self::unreached::Undelivered;
pub(super) use self::unreached::Unnamed;
use self::unreached::Unreached;
use super::dialog::{Dialog, EARLY_DIALOG_TERMINATED, Look};
use super::record::{CallKind, EndedBy};
use crate::flow::Endpoint;
use crate::near::fetch;
use crate::sip::header::{Name, digits, number, text, values};
use crate::sip::uri::until;
use crate::sip::{Message, Method, Rare as RareFields, Span, StartLine, call_id_key};
use crate::time::Timestamp;

pub(super) use self::finding::findings;
pub use self::record::{
    CauseRecord, HoldRecord, HopRecord, InfoDtmfRecord, RegistrationRecord, SessionTimerRecord, Side,
    SignallingRecord, TransferRecord,
};

/// Pairs of neighbours that retransmissions are counted for.
const MAX_HOPS: usize = 16;

/// Reliable provisional answers that wait for their PRACK.
const MAX_UNACKNOWLEDGED: usize = 16;

/// Within this a provisional answer that keeps an attempt alive passes its hops.
const SOON: Duration = Duration::from_secs(1);

/// Legs with tags of their own. Attack: INVITEs of one Call-ID, each with another tag.
const MAX_LEGS: usize = 16;

/// So soon after a second answer its BYE is that of a program, which keeps the other one (RFC 3261 13.2.2.4).
const AT_ONCE: Duration = Duration::from_secs(2);

/// Notes of one dialog.
const MAX_NOTES: usize = 16;

/// What a dialog remembers of its signalling. What every message needs comes first.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Signalling {
    rare: Option<Box<Rare>>,
    /// The first INVITE was seen.
    pub(super) invited: bool,
    /// Anything answered the latest try of the first request.
    pub(super) responded: bool,
    /// The first INVITE's 2xx has its ACK.
    pub(super) acknowledged: bool,
    /// A BYE ended it.
    pub(super) released: bool,
    /// Another dialog takes its place, or is asked to (RFC 3891).
    pub(super) is_replaced: bool,
    /// The caller's own hop has told when it rang, and when it was answered.
    pub(super) own_hop: OwnHop,
    sides: Sides,
    /// To-tag of the first 2xx.
    answer_tag: u32,
    /// Seconds/100,000 from the BYE to its answer, plus 1; 0 while there is none.
    disconnect: u32,
    pub(super) pace: Pace,
    /// Topmost branches of the latest 2xx to the first INVITE, by hop.
    answer_branches: [u32; 2],
    /// To-tags in answers to INVITE.
    pub(super) answer_tags: AnswerTags,
    /// None where no message spoke of one.
    timer: Option<Box<SessionTimer>>,
    /// Of a REGISTER.
    registered: Option<Box<Registered>>,
}

/// What the hop of the first request has told, as bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnHop(u8);

impl OwnHop {
    pub(super) const RINGING: u8 = 1;
    pub(super) const ANSWERED: u8 = 2;

    const fn has_told(self, what: u8) -> bool {
        self.0 & what != 0
    }

    /// Whether a time is to be that of a message: the first of any hop, or the first of the caller's own.
    pub(super) const fn decides(&mut self, what: u8, is_known: bool, is_own: bool) -> bool {
        let is_first_of_own = is_own && !self.has_told(what);
        if is_own {
            self.0 |= what;
        }
        !is_known || is_first_of_own
    }
}

/// What few dialogs have.
#[derive(Debug, Default)]
struct Rare {
    notes: SmallVec<[Note; 4]>,
    holds: [Hold; 2],
    changes: [Option<Change>; change::KINDS],
    /// Hashes of the caller's tags in legs that have others than his own (RFC 7092).
    leg_tags: SmallVec<[u64; 2]>,
    transfers: Vec<Transfer>,
    /// The Call-ID of the dialog that this one takes the place of, and that dialog.
    replaces: Span,
    replaced: Option<NamedDialog>,
    /// The Call-ID of the dialog that takes the place of this one.
    replaced_by: Span,
    /// INVITEs that had more digits of the number.
    overlaps: u32,
    /// The latest provisional answer that said that the attempt goes on.
    still_ringing: Timestamp,
    /// RSeq and To-tag of provisional answers that wait for their PRACK, and when they came.
    reliable: SmallVec<[(u64, u32, Timestamp); 2]>,
    /// The latest PRACKs: what they acknowledge may come after them.
    pracks: [(u64, u32); 2],
    reliables: u32,
    /// The latest ones that were counted, so that their other hops do not count again.
    counted: [(u64, u32); 2],
    hops: SmallVec<[(Endpoint, Endpoint, u32); 2]>,
    /// How often the first request came again over its own hop since it was sent anew, and so the first INVITE's 2xx: in all, and
    /// after its ACK.
    requests_again: u32,
    answers_again: u32,
    answers_after_ack: u32,
    /// Refusals of the first INVITE that came again, by hop.
    refused_again: SmallVec<[RefusedAgain; 1]>,
    /// The challenge to the BYE that ended it, which no other BYE has followed.
    bye_challenged: Option<ByeChallenged>,
    /// The BYE, and the latest change and CANCEL that nothing has answered.
    byes_again: Again,
    changes_again: Again,
    cancels_again: Again,
    /// The 2xx to a re-INVITE that came again.
    reanswered: Reanswered,
    /// Both ends sent a BYE; only the answer to it was captured.
    byes_crossed: bool,
    bye_unseen: bool,
    /// Topmost branch of the latest CANCEL.
    cancel: u32,
    /// When the latest of several answered.
    answered_again: Timestamp,
    /// The latest BYE to one of them: when, and by whom.
    left: Option<(Timestamp, EndedBy)>,
    /// Keys of either end that went by INFO.
    pressed: Option<Box<[Pressed; 2]>>,
    /// What candidates may still come for.
    sections: Vec<Section>,
    /// Where its datagrams did not arrive.
    unreached: Vec<Unreached>,
}

/// Something rare that happened, and the message that shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    what: What,
    at: Timestamp,
    cseq: u32,
    by: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// 491 to an offer inside the dialog.
    Glare,
    /// The answer and the CANCEL crossed.
    CancelRace,
    /// A second 2xx, from somebody else.
    SecondAnswer,
    /// 422.
    IntervalTooSmall,
    /// Another refusal of an offer inside the dialog, by method and status.
    ChangeRefused(Method, u16),
    /// The status that a BYE was refused with.
    ByeRefused(u16),
}

/// A refusal of the first INVITE that came again over one hop, as each has a branch of its own (RFC 3261 16.6): how often in all,
/// and after its ACK.
#[derive(Clone, Copy, Debug)]
struct RefusedAgain {
    branch: u32,
    status: u16,
    source: Endpoint,
    destination: Endpoint,
    count: u32,
    after_ack: u32,
    /// When it came again first.
    at: Timestamp,
}

/// A challenge (401, 407) to a BYE.
#[derive(Clone, Copy, Debug)]
struct ByeChallenged {
    status: u16,
    at: Timestamp,
    cseq: u32,
    by: Side,
}

/// A request that came again: over one hop, as each has a branch of its own (RFC 3261 16.6).
#[derive(Clone, Copy, Debug, Default)]
struct Again {
    branch: u32,
    method: Method,
    by: Side,
    count: u32,
    at: Timestamp,
}

impl Again {
    /// Takes another copy of a request: the first decides which one, and which hop, is counted.
    fn add(&mut self, look: &Look<'_>, by: Side) {
        let branch = look.head.keys.branch as u32;
        if self.count == 0 {
            *self = Self { branch, method: look.about(), by, count: 0, at: look.message.timestamp };
        }
        self.count += u32::from(self.branch == branch);
    }
}

impl Signalling {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Fetches what a message will need.
    #[inline]
    pub(super) fn touch(&self) {
        self.pace.touch();
        fetch(&self.answer_tag);
    }

    /// The INVITE goes on over another leg, on which the caller has that tag. Who answered has none of these.
    pub(super) fn know_leg(&mut self, tag: u64) {
        let tags = self.rare.as_ref().map_or(&[][..], |rare| &rare.leg_tags);
        if !tags.contains(&tag) && tags.len() < MAX_LEGS && !self.answer_tags.has(tag) {
            self.rare().leg_tags.push(tag);
        }
    }

    /// Whether that is the caller's tag in another leg than his own.
    pub(super) fn is_of_leg(&self, tag: u64) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.leg_tags.contains(&tag))
    }

    /// Who has that tag hangs up, or is hung up on, at that time; whether somebody else who answered is left. A BYE passes
    /// several hops.
    pub(super) fn leaves_others(&mut self, tag: u64, bye: (Timestamp, EndedBy)) -> bool {
        let was_up = self.answer_tags.unmark(tag, UP);
        let are_left = self.answer_tags.has(tag) && self.answer_tags.marked(UP) > 0;
        if are_left && was_up {
            self.rare().left = Some(bye);
        }
        are_left
    }

    /// A provisional answer came again, after a while or just after one that did, on its next hop; whether it says that the attempt
    /// goes on.
    pub(super) fn still_rings(&mut self, now: Timestamp, is_after_a_while: bool) -> bool {
        if is_after_a_while {
            self.rare().still_ringing = now;
            return true;
        }
        self.rare.as_ref().is_some_and(|rare| now.since(rare.still_ringing) <= SOON)
    }

    /// An INVITE had more digits of the number.
    pub(super) fn more_digits(&mut self) {
        self.rare().overlaps += 1;
    }

    /// Whether an INVITE had more digits of the number than the one before.
    pub(super) fn has_more_digits(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.overlaps > 0)
    }

    /// The call ended with a BYE of which only the answer was captured.
    pub(super) fn bye_was_not_captured(&mut self) {
        self.rare().bye_unseen = true;
    }

    /// The latest BYE that left somebody else in the call.
    pub(super) fn left(&self) -> Option<(Timestamp, EndedBy)> {
        self.rare.as_ref()?.left
    }

    /// Whether that was at once: who calls keeps one and hangs up on the others then; later it is the call that ends.
    pub(super) fn was_left_at_once(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.left.is_some_and(|(at, _)| at.since(rare.answered_again) <= AT_ONCE))
    }

    fn noted(&self, what: What) -> Option<&Note> {
        self.rare.as_ref()?.notes.iter().find(|note| note.what == what)
    }

    /// How long the BYE that ended it waited for the answer; none while there is none.
    pub(super) const fn disconnected(&self) -> Option<Duration> {
        if self.released && self.disconnect != 0 { Some(pace::duration(self.disconnect - 1)) } else { None }
    }
}

/// What an INVITE takes the place of: Call-ID and tags (RFC 3891 6.1).
fn replaces<'a>(look: &Look<'a>) -> Option<&'a [u8]> {
    look.head.rare.has(RareFields::REPLACES).then(|| values(look.bytes, Name::Replaces).next()).flatten()
}

/// The dialog that a message has replaced: by itself, as an INVITE, or by the one who gets its REFER. What becomes of a REFER,
/// its answer and NOTIFYs tell: [`Dialog::decided_transfer`].
pub(super) fn replaced(look: &Look<'_>) -> Option<NamedDialog> {
    match look.method()? {
        Method::Invite => replaces(look).map(NamedDialog::by),
        Method::Refer => transfer::replaced(look),
        _ => None,
    }
}

/// What a dialog is named by: keys of its Call-ID and its two tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedDialog {
    pub(super) call_id: u64,
    to_tag: u64,
    from_tag: u64,
}

impl NamedDialog {
    /// Reads `<Call-ID>;to-tag=<tag>;from-tag=<tag>` (RFC 3891 6.1).
    fn by(value: &[u8]) -> Self {
        let mut parts = value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let call_id = call_id_key(parts.next().unwrap_or_default());
        let tag = |name: &[u8]| {
            let mut parts = parts.clone();
            let value = parts.find_map(|part| {
                let (known, value) = part.split_at_checked(name.len())?;
                known.eq_ignore_ascii_case(name).then_some(value)
            });
            call_id_key(value.unwrap_or_default())
        };
        Self { call_id, to_tag: tag(b"to-tag="), from_tag: tag(b"from-tag=") }
    }
}

impl Dialog {
    /// Who sent the request that a message is, or answers.
    fn requester(&self, look: &Look<'_>) -> Side {
        if self.is_caller(look) { Side::Caller } else { Side::Callee }
    }

    /// A request that is seen for the first time.
    pub(super) fn requested(&mut self, look: &Look<'_>, method: Method) {
        self.hear_side(look);
        match method {
            Method::Ack => self.acknowledge(look),
            Method::Invite if look.is_initial() => self.invited(look),
            Method::Invite | Method::Update if self.is_answered => self.refreshes(look),
            Method::Prack => self.prack(look),
            Method::Refer => self.refer(look),
            Method::Info => self.info(look),
            Method::Notify => self.progress_of_transfer(look),
            Method::Register => self.registers(look),
            _ => {}
        }
    }

    fn invited(&mut self, look: &Look<'_>) {
        self.signalling.invited = true;
        if let Some(value) = replaces(look) {
            let replaces = self.keep(until(value, b';').trim_ascii());
            let rare = self.signalling.rare();
            (rare.replaces, rare.replaced) = (replaces, Some(NamedDialog::by(value)));
        }
    }

    /// Whether it is the dialog with these tags: who knows no more than the Call-ID names another (RFC 3891 3).
    pub(super) fn is(&self, named: NamedDialog) -> bool {
        let are = |ours: u64, theirs: u64| ours == self.from_tag && self.signalling.answer_tags.has(theirs);
        are(named.from_tag, named.to_tag) || are(named.to_tag, named.from_tag)
    }

    /// Another dialog takes its place, or is asked to, and has that Call-ID if it is known; or does not after all.
    pub(super) fn set_replaced(&mut self, is_replaced: bool, by: &[u8]) {
        self.signalling.is_replaced = is_replaced;
        let known = self.signalling.rare.as_ref().map_or(Span::default(), |rare| rare.replaced_by);
        if is_replaced && known.is_empty() && !by.is_empty() {
            let by = self.keep(by);
            self.signalling.rare().replaced_by = by;
        } else if !is_replaced && !known.is_empty() {
            self.signalling.rare().replaced_by = Span::default();
        }
    }

    /// Call-ID of the dialog that this one takes the place of.
    pub(super) fn replaces(&self) -> Option<&[u8]> {
        let rare = self.signalling.rare.as_ref()?;
        Some(self.kept(rare.replaces)).filter(|call_id| !call_id.is_empty())
    }

    /// The dialog that this one was to take the place of, and does not: nobody answered.
    pub(super) fn not_replaced(&self) -> Option<NamedDialog> {
        self.signalling.rare.as_ref()?.replaced.filter(|_| !self.is_answered)
    }

    fn acknowledge(&mut self, look: &Look<'_>) {
        self.branches.acknowledged(look.head.keys.branch);
        if !self.is_answered {
            return;
        }
        let tag = self.signalling.answer_tag;
        let is_for_first = tag == 0 || tag == look.head.keys.to_tag as u32;
        if is_for_first {
            self.signalling.acknowledged |= self.is_first_invite(look);
        }
        self.change_acknowledged(look);
    }

    /// Who called gives up with a CANCEL. It has the branch of what it cancels (RFC 3261 9.1).
    pub(super) fn note_cancel(&mut self, look: &Look<'_>) {
        if look.method().is_none() || !look.is_initial() {
            return;
        }
        let branch = look.head.keys.branch as u32;
        if self.is_answered {
            if look.head.cseq == self.cseq && self.signalling.answer_branches.contains(&branch) {
                self.note(What::CancelRace, look);
            }
        } else {
            self.signalling.rare().cancel = branch;
        }
    }

    /// Takes a note, once for all hops that the message passes.
    fn note(&mut self, what: What, look: &Look<'_>) {
        let note = Note { what, at: look.message.timestamp, cseq: look.head.cseq, by: self.requester(look) };
        let notes = &mut self.signalling.rare().notes;
        let is_known =
            notes.iter().any(|known| (known.what, known.cseq, known.by) == (note.what, note.cseq, note.by));
        if !is_known && notes.len() < MAX_NOTES {
            notes.push(note);
        }
    }

    /// A response that is seen for the first time.
    pub(super) fn responded(&mut self, look: &Look<'_>, status: u16) {
        let head = look.head;
        self.hear_side(look);
        self.signalling.responded |= head.cseq_method == self.method && head.cseq == self.cseq;
        match (head.cseq_method, status) {
            (Method::Invite, 101..=199) => self.provisional(look, status),
            (Method::Invite, 200..=299) if self.is_first_invite(look) => self.accepted(look),
            (Method::Update, 491) => self.note(What::Glare, look),
            (Method::Invite, 491) if self.is_answered => self.note(What::Glare, look),
            (Method::Invite | Method::Update, 422) => self.interval_refused(look),
            (Method::Bye, 200..) => self.bye_answered(look, status),
            (Method::Cancel, 200..) => self.cancel_answered(look, status),
            (Method::Info, 200..) => self.info_answered(look, status),
            (Method::Refer, 300..) => self.transfer_refused(look, status),
            (Method::Register, 200..=299) => self.registered(look),
            _ => {}
        }
        if let Method::Invite | Method::Update = head.cseq_method {
            self.change_answered(look, status);
        }
    }

    fn change_answered(&mut self, look: &Look<'_>, status: u16) {
        if let Some(rare) = &mut self.signalling.rare {
            rare.changes_again = Again::default();
        }
        if status >= 200 {
            self.change_is_over(look);
            self.offer_decided(look, status < 300);
        }
        match status {
            200..=299 => self.session(look),
            // Those are asked for again, have notes of their own, or were taken back.
            401 | 407 | 422 | 487 | 491 => {}
            // Who has hung up knows the dialog no more.
            300.. if self.signalling.released && self.ended_by != Some(self.releaser(look)) => {}
            // A late answer to an earlier try is none of these.
            300.. if self.is_answered && (!self.is_caller(look) || look.head.cseq > self.cseq) => {
                self.note(What::ChangeRefused(look.head.cseq_method, status), look);
            }
            _ => {}
        }
    }

    /// Each hop answers the CANCEL by itself (RFC 3261 16.10). 408 says that nothing did.
    fn cancel_answered(&mut self, look: &Look<'_>, status: u16) {
        let branch = look.head.keys.branch as u32;
        let rare =
            self.signalling.rare.as_mut().filter(|rare| status != 408 && rare.cancels_again.branch == branch);
        rare.into_iter().for_each(|rare| rare.cancels_again = Again::default());
    }

    fn bye_answered(&mut self, look: &Look<'_>, status: u16) {
        if matches!(status, 401 | 407) {
            self.bye_challenged(look, status);
            return;
        }
        let are_crossed = self.signalling.rare.as_ref().is_some_and(|rare| rare.byes_crossed);
        if status >= 300 && self.signalling.released && !are_crossed {
            self.note(What::ByeRefused(status), look);
        }
        if self.signalling.rare.as_ref().is_some_and(|rare| rare.bye_unseen) {
            return;
        }
        let released = self.end.zip(self.ended_by).filter(|_| self.signalling.released);
        let bye = released.or(self.signalling.left()).filter(|(_, by)| *by == self.releaser(look));
        if let Some((bye, _)) = bye {
            // Over several hops the last of its answers is the one that the sender of the BYE gets (RFC 6076 4.4).
            let took = pace::ticks(look.message.timestamp.since(bye)).saturating_add(1);
            self.signalling.disconnect = self.signalling.disconnect.max(took);
        }
    }

    /// For who sent the BYE the session is over with it, whatever answers it (RFC 3261 15.1.1): it neither hears nor says anything
    /// from then on, and so the call ends there. But a challenge is no answer to the BYE: without another one with credentials
    /// the other end was not told, and may go on, and be charged for it. That is a finding, and the call was not completed.
    fn bye_challenged(&mut self, look: &Look<'_>, status: u16) {
        let (at, cseq, by) = (look.message.timestamp, look.head.cseq, self.requester(look));
        let known = self.signalling.rare.as_ref().and_then(|rare| rare.bye_challenged);
        // The first of its hops.
        let is_new = known.is_none_or(|known| (known.cseq, known.by) != (cseq, by));
        if self.signalling.released && is_new {
            self.signalling.rare().bye_challenged = Some(ByeChallenged { status, at, cseq, by });
        }
    }

    /// A BYE came after the one that ended the call.
    pub(super) fn hung_up_too(&mut self, look: &Look<'_>, by: EndedBy) {
        let side = self.requester(look);
        if let Some(rare) = &mut self.signalling.rare {
            let is_followed = |known: &ByeChallenged| known.by != side || look.head.cseq > known.cseq;
            rare.bye_challenged.take_if(|known| is_followed(known));
        }
        if self.signalling.released && self.ended_by != Some(by) {
            self.signalling.rare().byes_crossed = true;
        }
    }

    /// Whether a message is about the latest INVITE that was to begin the dialog, as the caller numbers it and with his own tag.
    pub(super) fn is_first_invite(&self, look: &Look<'_>) -> bool {
        look.head.cseq == self.cseq && look.head.keys.from_tag == self.from_tag
    }

    /// The 2xx to the first INVITE; there may be several, from several ends or over several hops.
    fn accepted(&mut self, look: &Look<'_>) {
        let (branch, tag) = (look.head.keys.branch as u32, look.head.keys.to_tag as u32);
        self.signalling.answer_tags.mark(look.head.keys.to_tag, UP);
        let [latest, _] = self.signalling.answer_branches;
        self.signalling.answer_branches = [branch, latest];
        if self.signalling.rare.as_ref().is_some_and(|rare| rare.cancel == branch) {
            self.note(What::CancelRace, look);
        }
        // The first that the caller hears of may have told the next hop with another tag: a B2BUA has its own (RFC 7092).
        let is_first_of_own = self.is_own_hop(look) && !self.signalling.own_hop.has_told(OwnHop::ANSWERED);
        if self.signalling.answer_tag == 0 || is_first_of_own {
            self.signalling.answer_tag = tag;
        } else if self.signalling.answer_tag != tag {
            self.signalling.rare().answered_again = look.message.timestamp;
            self.note(What::SecondAnswer, look);
        }
    }

    fn provisional(&mut self, look: &Look<'_>, status: u16) {
        let (tag, tags) = (look.head.keys.to_tag, &mut self.signalling.answer_tags);
        if status == EARLY_DIALOG_TERMINATED {
            tags.unmark(tag, OPEN);
        } else {
            tags.mark(tag, EARLY | OPEN);
        }
        if !look.head.rare.has(RareFields::RSEQ) {
            return;
        }
        let Some(sequence) = values(look.bytes, Name::RSeq).next().and_then(number) else { return };
        let key = (sequence, look.head.keys.to_tag as u32);
        let is_invited = self.signalling.invited;
        let rare = self.signalling.rare();
        if rare.counted.contains(&key) {
            return;
        }
        let [latest, _] = rare.counted;
        rare.counted = [key, latest];
        rare.reliables += 1;
        // Where the INVITE was not captured, the PRACK, which comes from the same end, is not missed.
        let is_missed = is_invited && !rare.pracks.contains(&key);
        if is_missed && rare.reliable.len() < MAX_UNACKNOWLEDGED {
            rare.reliable.push((key.0, key.1, look.message.timestamp));
        }
    }

    /// RAck has RSeq, CSeq and the method of what it acknowledges (RFC 3262 7.2).
    fn prack(&mut self, look: &Look<'_>) {
        let Some(value) = values(look.bytes, Name::RAck).next() else { return };
        let (Some(sequence), _) = digits(value) else { return };
        let key = (sequence, look.head.keys.to_tag as u32);
        let rare = self.signalling.rare();
        rare.reliable.retain(|&mut (sequence, tag, _)| (sequence, tag) != key);
        let [latest, _] = rare.pracks;
        rare.pracks = [key, latest];
    }

    /// A message that came again over the same hop.
    pub(super) fn came_again(&mut self, look: &Look<'_>) {
        let (source, destination) = (look.message.source, look.message.destination);
        let (method, by) = (look.method(), self.requester(look));
        let is_first = method == Some(self.method) && look.head.keys.branch == self.branch;
        let is_answer = self.is_answered
            && matches!(look.head.start, StartLine::Response { status: 200..=299, .. })
            && look.head.cseq_method == Method::Invite
            && look.head.keys.to_tag as u32 == self.signalling.answer_tag
            && self.is_own_hop(look);
        let is_acknowledged = self.signalling.acknowledged;
        self.refused_again(look);
        self.answered_again(look);
        let is_change = matches!(method, Some(Method::Invite | Method::Update)) && !look.is_initial();
        let rare = self.signalling.rare();
        rare.requests_again += u32::from(is_first);
        rare.answers_again += u32::from(is_answer);
        rare.answers_after_ack += u32::from(is_answer && is_acknowledged);
        match method {
            Some(Method::Bye) => rare.byes_again.add(look, by),
            Some(Method::Cancel) => rare.cancels_again.add(look, by),
            _ => {}
        }
        if is_change {
            rare.changes_again.add(look, by);
        }
        let known = rare.hops.iter_mut().find(|(from, to, _)| (*from, *to) == (source, destination));
        if let Some((.., count)) = known {
            *count += 1;
        } else if rare.hops.len() < MAX_HOPS {
            rare.hops.push((source, destination, 1));
        }
    }

    /// Counts a refusal of the latest INVITE that came again, whoever else answers. Its ACK comes back over the same hop (RFC 3261
    /// 17.1.1.3); it would be missed where nothing that goes that way is captured.
    fn refused_again(&mut self, look: &Look<'_>) {
        let StartLine::Response { status: status @ 300.., .. } = look.head.start else { return };
        let branch = look.head.keys.branch;
        let is_it = look.head.cseq_method == Method::Invite
            && self.is_first_invite(look)
            && self.branches.was_sent(branch);
        if !is_it {
            return;
        }
        let after_ack = u32::from(self.branches.is_acknowledged(branch));
        let branch = branch as u32;
        let hops = &mut self.signalling.rare().refused_again;
        let known = hops.iter_mut().find(|known| (known.branch, known.status) == (branch, status));
        if let Some(known) = known {
            known.count += 1;
            known.after_ack += after_ack;
        } else if hops.len() < MAX_HOPS {
            let &Message { source, destination, timestamp: at, .. } = look.message;
            hops.push(RefusedAgain { branch, status, source, destination, count: 1, after_ack, at });
        }
    }

    /// The first request is sent anew.
    pub(super) fn sent_anew(&mut self) {
        self.signalling.responded = false;
        self.signalling.answer_tags.sent_anew();
        if let Some(rare) = &mut self.signalling.rare {
            rare.requests_again = 0;
            rare.refused_again.clear();
        }
    }

    /// A BYE ended the dialog: its own answer is waited for.
    pub(super) const fn released(&mut self) {
        self.signalling.released = true;
        self.signalling.disconnect = 0;
    }

    /// Whether it is a call whose first INVITE was seen: one that figures of call set-up are about.
    pub(super) fn is_attempt(&self) -> bool {
        self.kind == Some(CallKind::Call) && self.signalling.invited
    }

    /// Whether a BYE ended it.
    pub(super) const fn is_released(&self) -> bool {
        self.signalling.released
    }
}
