//! What the two ends of a dialog say to each other and when: a list of steps, drawn before the dialog begins.

use super::profile::Profile;
use super::rng::Rng;
use super::step::{Extra, Mark, Method, Step};
use super::stretch::Stretch;

mod fault;
mod media_fault;

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000 * MILLISECOND;

/// T1 of RFC 3261 17.1.1.1.
const T1: u64 = 500 * MILLISECOND;

/// How a dialog ends; the words are those of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Success,
    Failed,
    Timeout,
    Cancelled,
    Busy,
    Redirected,
    Open,
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::Redirected => "redirected",
            Self::Open => "open",
        }
    }
}

/// A dialog from its first message to its last.
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    pub(crate) outcome: Outcome,
    /// The final status code of the first transaction.
    pub(crate) code: Option<u16>,
    /// Nanoseconds of media after [`Mark::Confirmed`]; 0 is none.
    pub(crate) talk: u64,
    /// The end that opened the dialog sends the BYE (or the CANCEL).
    pub(crate) ended_by_caller: bool,
    /// Media that is planned packet by packet.
    pub(crate) stretches: Vec<Stretch>,
    /// What has to be found of it; nothing else may be.
    pub(crate) signs: Vec<&'static str>,
}

impl Script {
    /// Whether so many nanoseconds lie between answer and end.
    fn lasts(&self, least: u64) -> bool {
        let at = |mark: Mark| self.steps.iter().find(|step| step.mark == mark).map(|step| step.at);
        at(Mark::Answered).zip(at(Mark::End)).is_some_and(|(answered, end)| end >= answered + least)
    }
}

/// Draws scripts.
pub(crate) struct Author<'a> {
    rng: &'a mut Rng,
    profile: &'a Profile,
    /// Over UDP, where SIP itself repeats what is lost.
    datagrams: bool,
    steps: Vec<Step>,
    at: u64,
    cseq: u32,
    branch: u16,
}

impl<'a> Author<'a> {
    pub(crate) fn new(rng: &'a mut Rng, profile: &'a Profile, datagrams: bool) -> Self {
        Self { rng, profile, datagrams, steps: Vec::new(), at: 0, cseq: 0, branch: 0 }
    }

    /// REGISTER, challenge, REGISTER, answer.
    pub(crate) fn registration(mut self) -> Script {
        let refused = self.rng.share(self.profile.outcome.registration_refused);
        let first = self.open(Method::Register);
        self.send(first.mark(Mark::Start));
        self.network();
        self.send(first.answer(401).leg(1));
        self.wait(1, 5);
        let second = Step { credentials: true, ..self.open(Method::Register) };
        self.send(second);
        self.network();
        let code = if refused { 403 } else { 200 };
        self.send(second.answer(code).leg(1).mark(Mark::End));
        self.finish(if refused { Outcome::Failed } else { Outcome::Success }, Some(code))
    }

    /// OPTIONS and its answer.
    pub(crate) fn options(mut self) -> Script {
        let request = self.open(Method::Options);
        self.send(request.mark(Mark::Start));
        self.network();
        self.send(request.answer(200).leg(1).mark(Mark::End));
        self.finish(Outcome::Success, Some(200))
    }

    /// A call.
    pub(crate) fn call(mut self) -> Script {
        if self.rng.share(self.profile.shape.media_faults) {
            return self.with_media();
        }
        if self.profile.shape.faults > 0.0 && self.rng.share(self.profile.shape.faults) {
            return self.troubled();
        }
        let shares = &self.profile.outcome;
        let refusals = [
            (shares.not_found, Outcome::Failed, 404),
            (shares.busy, Outcome::Busy, 486),
            (shares.unavailable, Outcome::Failed, 503),
            (shares.redirected, Outcome::Redirected, 302),
        ];
        let mut dice = self.rng.unit();
        let mut below = |share: f64| {
            dice -= share;
            dice < 0.0
        };
        let refusal = refusals.into_iter().find(|(share, ..)| below(*share));
        let cancelled = refusal.is_none() && below(shares.cancelled);
        let unanswered = refusal.is_none() && !cancelled && below(shares.unanswered);
        let open = refusal.is_none() && !cancelled && !unanswered && below(shares.open);
        if unanswered {
            return self.unanswered();
        }
        let invite = self.invite(true);
        self.network();
        self.send(invite.answer(100));
        match refusal {
            Some((_, outcome, code)) => self.refused(invite, outcome, code),
            None if cancelled => self.cancelled(invite),
            None => self.answered(invite, open),
        }
    }

    /// The first INVITE, challenged or not.
    fn invite(&mut self, repeatable: bool) -> Step {
        let mut invite = self.open_invite();
        self.send_if(invite.mark(Mark::Start), repeatable);
        if self.rng.share(self.profile.outcome.auth) {
            self.network();
            self.send(invite.answer(407).leg(1));
            self.wait(1, 3);
            self.send(Step { method: Method::Ack, leg: 1, sdp: false, large: false, ..invite });
            self.wait(1, 10);
            invite = Step { credentials: true, ..self.open_invite() };
            self.send_if(invite, repeatable);
        }
        invite
    }

    fn open_invite(&mut self) -> Step {
        let large = self.rng.share(self.profile.text.large);
        Step { large, ..self.open(Method::Invite).sdp() }
    }

    fn unanswered(mut self) -> Script {
        let invite = self.invite(false);
        if self.datagrams {
            let sent = self.at;
            for repetition in 1..7 {
                self.at = sent + T1 * ((1 << repetition) - 1);
                self.send_if(Step { repeated: true, ..invite }, false);
            }
        }
        self.finish(Outcome::Timeout, None)
    }

    fn refused(mut self, invite: Step, outcome: Outcome, code: u16) -> Script {
        if code == 486 {
            self.ring(invite, 1);
        }
        self.wait(50, 2_000);
        self.fail(invite, code);
        self.finish(outcome, Some(code))
    }

    fn cancelled(mut self, invite: Step) -> Script {
        self.ring(invite, 1);
        self.wait(2_000, 10_000);
        let cancel = Step { method: Method::Cancel, sdp: false, credentials: false, large: false, ..invite };
        self.send(cancel);
        self.network();
        self.send(cancel.answer(200).leg(1));
        self.wait(1, 5);
        self.fail(invite, 487);
        self.finish(Outcome::Cancelled, Some(487))
    }

    fn fail(&mut self, invite: Step, code: u16) {
        self.send(invite.answer(code).leg(1).mark(Mark::End));
        self.wait(1, 10);
        self.send(Step {
            method: Method::Ack,
            leg: 1,
            sdp: false,
            credentials: false,
            large: false,
            ..invite
        });
    }

    fn answered(mut self, invite: Step, open: bool) -> Script {
        let shape = &self.profile.shape;
        let mut leg = 1;
        if self.rng.share(shape.pracks) {
            self.progress(invite);
        }
        self.ring(invite, leg);
        if self.rng.share(shape.forks) {
            leg = 2;
            self.ring(invite, leg);
        }
        self.wait(500, 7_000);
        self.send(invite.answer(200).leg(leg).sdp().mark(Mark::Answered));
        self.network();
        self.branch += 1;
        let confirm = Step { branch: self.branch, sdp: false, large: false, ..invite };
        self.send(Step { method: Method::Ack, leg, ..confirm }.mark(Mark::Confirmed));
        let confirmed = self.at;
        let hold = self.profile.load.hold;
        let hold = ((0.5 + self.rng.unit()) * hold * SECOND as f64) as u64;
        self.talk(leg, hold);
        let until = (confirmed + hold).max(self.at);
        self.at = until;
        let ended_by_caller = self.rng.share(0.7);
        if !open {
            self.hang_up(leg, ended_by_caller);
        }
        let outcome = if open { Outcome::Open } else { Outcome::Success };
        let mut script = self.finish(outcome, Some(200));
        script.talk = (until - confirmed).saturating_sub(200 * MILLISECOND);
        script.ended_by_caller = ended_by_caller;
        script
    }

    fn ring(&mut self, invite: Step, leg: u8) {
        self.wait(100, 2_500);
        self.send(invite.answer(180).leg(leg).mark(Mark::Ringing));
    }

    /// A reliable 183 and its PRACK.
    fn progress(&mut self, invite: Step) {
        self.wait(50, 500);
        self.send(invite.answer(183).leg(1).sdp().mark(Mark::Ringing));
        let prack = self.open(Method::Prack).leg(1);
        self.network();
        self.send(prack);
        self.network();
        self.send(prack.answer(200));
    }

    /// Requests inside the dialog, in its first half.
    fn talk(&mut self, leg: u8, hold: u64) {
        if self.rng.share(self.profile.shape.updates) {
            self.at += hold / 8;
            let update = self.open(Method::Update).leg(leg).sdp();
            self.send(update);
            self.network();
            self.send(update.answer(200).sdp());
        }
        if self.rng.share(self.profile.shape.reinvites) {
            self.at += hold / 8;
            let mut invite = self.open(Method::Invite).leg(leg).sdp();
            if self.rng.share(0.5) {
                invite = invite.backward();
            }
            self.send(invite);
            self.network();
            self.send(invite.answer(200).sdp());
            self.network();
            self.branch += 1;
            self.send(Step { method: Method::Ack, branch: self.branch, sdp: false, ..invite });
        }
    }

    fn hang_up(&mut self, leg: u8, by_caller: bool) {
        let mut bye = self.open(Method::Bye).leg(leg);
        if !by_caller {
            bye = bye.backward();
        }
        self.send(bye.mark(Mark::End));
        self.network();
        self.send(bye.answer(200));
    }

    /// A new request: the next CSeq, the next branch.
    fn open(&mut self, method: Method) -> Step {
        self.cseq += 1;
        self.branch += 1;
        Step::request(method, self.cseq, self.branch)
    }

    fn send(&mut self, step: Step) {
        self.send_if(step, true);
    }

    fn send_if(&mut self, step: Step, repeatable: bool) {
        let step = Step { at: self.at, ..step };
        self.steps.push(step);
        if repeatable
            && self.datagrams
            && step.is_repeatable()
            && self.rng.share(self.profile.datagrams.sip_retransmitted)
        {
            self.steps.push(Step { at: self.at + T1, repeated: true, mark: Mark::None, ..step });
        }
    }

    /// The way there and back.
    fn network(&mut self) {
        self.wait(5, 40);
    }

    /// Waits between `low` and `high` milliseconds.
    fn wait(&mut self, low: u64, high: u64) {
        self.at += self.rng.between(low * MILLISECOND, high * MILLISECOND);
    }

    fn finish(mut self, outcome: Outcome, code: Option<u16>) -> Script {
        self.steps.sort_by_key(|step| step.at);
        let (stretches, signs) = (Vec::new(), Vec::new());
        Script { steps: self.steps, outcome, code, talk: 0, ended_by_caller: true, stretches, signs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3261 17.1.1.2: with T1 = 500 ms "the intervals double": 0, 500, 1500, 3500, 7500, 15500, 31500 ms.
    #[test]
    fn an_unanswered_invite_is_sent_seven_times() {
        let mut profile = Profile::default();
        profile.outcome.unanswered = 1.0;
        let script = Author::new(&mut Rng::new(1), &profile, true).call();
        let sent: Vec<u64> = script.steps.iter().map(|step| step.at / MILLISECOND).collect();
        assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(script.outcome, Outcome::Timeout);
    }

    #[test]
    fn a_plain_call_is_the_one_of_rfc_3665() {
        let profile = Profile::default();
        let script = Author::new(&mut Rng::new(1), &profile, true).call();
        let said: Vec<(Option<u16>, &str)> =
            script.steps.iter().map(|step| (step.code, step.method.name())).collect();
        let expected = [
            (None, "INVITE"),
            (Some(100), "INVITE"),
            (Some(180), "INVITE"),
            (Some(200), "INVITE"),
            (None, "ACK"),
            (None, "BYE"),
            (Some(200), "BYE"),
        ];
        assert_eq!(said, expected);
    }
}
