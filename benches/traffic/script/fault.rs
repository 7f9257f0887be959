//! Calls with one fault each in their signalling, and as many that look like it and have none.

use super::{Author, Extra, Mark, Method, Outcome, SECOND, Script, Step, T1};

/// What goes wrong, or seems to.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Transfer,
    TransferFails,
    TransferRefused,
    /// Not a failure: the BYE comes before its outcome.
    TransferLeft,
    Hold,
    HoldRefused,
    /// A change that says only what the other side does.
    Listens,
    Abandoned,
    /// Who held hangs up.
    HolderLeaves,
    TwoAnswer,
    ForkOneAnswers,
    Glare,
    /// One change after the other.
    Changes,
    CancelAfterAnswer,
    AnswerAfterCancel,
    Cancelled,
    NoAck,
    LateAck,
    SessionExpires,
    SessionOverdue,
    SessionRefreshed,
    Unanswered,
    AnsweredLate,
    ByeUnanswered,
    ByeAnsweredLate,
    NoPrack,
    Prack,
    IntervalTooSmall,
    BadCause,
    NormalCause,
}

const ALL: [Fault; 30] = [
    Fault::Transfer,
    Fault::TransferFails,
    Fault::TransferRefused,
    Fault::TransferLeft,
    Fault::Hold,
    Fault::HoldRefused,
    Fault::Listens,
    Fault::Abandoned,
    Fault::HolderLeaves,
    Fault::TwoAnswer,
    Fault::ForkOneAnswers,
    Fault::Glare,
    Fault::Changes,
    Fault::CancelAfterAnswer,
    Fault::AnswerAfterCancel,
    Fault::Cancelled,
    Fault::NoAck,
    Fault::LateAck,
    Fault::SessionExpires,
    Fault::SessionOverdue,
    Fault::SessionRefreshed,
    Fault::Unanswered,
    Fault::AnsweredLate,
    Fault::ByeUnanswered,
    Fault::ByeAnsweredLate,
    Fault::NoPrack,
    Fault::Prack,
    Fault::IntervalTooSmall,
    Fault::BadCause,
    Fault::NormalCause,
];

impl Fault {
    /// What has to be found.
    fn signs(self) -> &'static [&'static str] {
        match self {
            Self::Transfer => &["transfer callee 200"],
            Self::TransferFails => &["transfer callee 486", "transfer_failed"],
            Self::TransferRefused => &["transfer callee 403", "transfer_failed"],
            Self::TransferLeft => &["transfer callee 100"],
            Self::Hold => &["hold callee 1"],
            Self::Abandoned => &["abandoned_on_hold", "hold callee 1"],
            Self::HolderLeaves => &["hold callee 1"],
            Self::TwoAnswer => &["answered_twice", "fork 2"],
            Self::ForkOneAnswers => &["fork 2"],
            Self::Glare => &["glare"],
            Self::CancelAfterAnswer | Self::AnswerAfterCancel => &["cancel_race"],
            Self::NoAck => &["no_ack"],
            Self::SessionExpires => &["session_expired"],
            Self::SessionOverdue => &["session_not_refreshed"],
            Self::Unanswered => &["no_response"],
            Self::ByeUnanswered => &["no_bye_answer"],
            Self::HoldRefused => &["change_refused"],
            Self::NoPrack => &["prack_missing"],
            Self::IntervalTooSmall => &["session_interval_too_small"],
            Self::BadCause => &["network_fault"],
            Self::Listens
            | Self::Changes
            | Self::Cancelled
            | Self::LateAck
            | Self::SessionRefreshed
            | Self::AnsweredLate
            | Self::ByeAnsweredLate
            | Self::Prack
            | Self::NormalCause => &[],
        }
    }
}

/// When a request that nobody answers is sent again, in T1 after the time before (RFC 3261 17.1.2.2; 13.3.1.4 for a 2xx).
const UNTIL_T2: [u64; 10] = [1, 2, 4, 8, 8, 8, 8, 8, 8, 8];

impl Author<'_> {
    /// A call with a fault, or with none that looks like one.
    pub(super) fn troubled(mut self) -> Script {
        let fault = ALL[self.rng.index(ALL.len())];
        let profile = self.profile;
        let script = match fault {
            Fault::Unanswered => self.unanswered_plainly(),
            Fault::Cancelled => {
                let invite = self.dial(Extra::None);
                self.cancelled(invite)
            }
            Fault::CancelAfterAnswer
            | Fault::AnswerAfterCancel
            | Fault::TwoAnswer
            | Fault::ForkOneAnswers => self.answers_cross(fault),
            Fault::NoAck | Fault::LateAck | Fault::AnsweredLate | Fault::NoPrack | Fault::Prack => {
                self.set_up_with(fault)
            }
            Fault::IntervalTooSmall => self.interval_too_small(),
            Fault::SessionExpires | Fault::SessionOverdue | Fault::SessionRefreshed => self.session(fault),
            Fault::ByeUnanswered | Fault::ByeAnsweredLate | Fault::BadCause | Fault::NormalCause => {
                self.ends(fault)
            }
            _ => self.within(fault),
        };
        let silent = profile.media.rtp == 0.0 && script.lasts(2 * SECOND);
        let signs = fault.signs().iter().copied().chain(silent.then_some("no_rtp")).collect();
        Script { signs, ..script }
    }

    fn unanswered_plainly(mut self) -> Script {
        let invite = self.open(Method::Invite).sdp();
        self.send(invite.mark(Mark::Start));
        self.again(invite, &[1, 2, 4, 8, 16, 32]);
        self.finish(Outcome::Timeout, None)
    }

    /// INVITE and 100.
    pub(super) fn dial(&mut self, extra: Extra) -> Step {
        let invite = self.open(Method::Invite).sdp().extra(extra);
        self.send(invite.mark(Mark::Start));
        self.network();
        self.send(invite.answer(100));
        invite
    }

    /// A call up to its ACK.
    fn set_up(&mut self) {
        let invite = self.dial(Extra::None);
        self.ring(invite, 1);
        self.pick_up(invite, Extra::None);
    }

    fn pick_up(&mut self, invite: Step, extra: Extra) {
        self.wait(500, 3_000);
        self.send(invite.answer(200).leg(1).sdp().extra(extra).mark(Mark::Answered));
        self.network();
        self.acknowledge(invite, 1, Mark::Confirmed);
        self.wait(1_000, 3_000);
    }

    pub(super) fn acknowledge(&mut self, invite: Step, leg: u8, mark: Mark) {
        self.branch += 1;
        let plain = Step { branch: self.branch, sdp: false, extra: Extra::None, ..invite };
        self.send(Step { method: Method::Ack, leg, ..plain }.mark(mark));
    }

    /// The same message at these times, in T1 one after the other.
    fn again(&mut self, step: Step, waits: &[u64]) {
        let mut at = self.at;
        for wait in waits {
            at += wait * T1;
            self.steps.push(Step { at, repeated: true, mark: Mark::None, ..step });
        }
    }

    /// A request of either end and its answer.
    fn ask(&mut self, step: Step, code: u16) {
        self.send(step);
        self.network();
        self.send(step.answer(code));
        self.wait(50, 500);
    }

    /// A re-INVITE of the callee, its answer and its ACK.
    fn change(&mut self, direction: &'static str, code: u16, answer: &'static str) {
        self.renegotiate(Extra::Direction(direction), code, Extra::Direction(answer));
    }

    pub(super) fn renegotiate(&mut self, offer: Extra, code: u16, answer: Extra) {
        let invite = self.open(Method::Invite).leg(1).sdp().backward().extra(offer);
        self.send(invite);
        self.network();
        let reply = invite.answer(code);
        self.send(if code < 300 { reply.sdp().extra(answer) } else { reply });
        self.network();
        if code < 300 {
            self.acknowledge(invite, 1, Mark::None);
        } else {
            self.refuse(invite);
        }
        self.wait(1_000, 4_000);
    }

    /// The ACK of a refusal is part of its transaction.
    fn refuse(&mut self, invite: Step) {
        self.send(Step { method: Method::Ack, sdp: false, extra: Extra::None, ..invite });
    }

    pub(super) fn leave(mut self, by_caller: bool) -> Script {
        self.hang_up(1, by_caller);
        let script = self.finish(Outcome::Success, Some(200));
        Script { ended_by_caller: by_caller, ..script }
    }

    /// What happens while a call is up.
    fn within(mut self, fault: Fault) -> Script {
        self.set_up();
        match fault {
            Fault::Hold => {
                self.change("sendonly", 200, "recvonly");
                self.change("sendrecv", 200, "sendrecv");
            }
            Fault::HoldRefused => self.change("sendonly", 488, ""),
            Fault::Listens => self.change("recvonly", 200, "sendonly"),
            Fault::Abandoned => self.change("sendonly", 200, "recvonly"),
            Fault::HolderLeaves => {
                self.change("inactive", 200, "inactive");
                return self.leave(false);
            }
            Fault::Changes => {
                self.change("sendrecv", 200, "sendrecv");
                self.change("sendrecv", 200, "sendrecv");
            }
            Fault::Glare => self.glare(),
            Fault::TransferRefused => self.refer(403, &[]),
            Fault::TransferFails => self.refer(202, &[100, 486]),
            Fault::TransferLeft => self.refer(202, &[100]),
            _ => self.refer(202, &[100, 200]),
        }
        self.leave(true)
    }

    fn glare(&mut self) {
        let caller = self.open(Method::Invite).leg(1).sdp();
        let callee = self.open(Method::Invite).leg(1).sdp().backward();
        self.send(caller);
        self.send(callee);
        self.network();
        for invite in [caller, callee] {
            self.send(invite.answer(491));
            self.refuse(invite);
        }
        self.wait(2_000, 4_000);
        self.change("sendrecv", 200, "sendrecv");
    }

    fn refer(&mut self, code: u16, fragments: &[u16]) {
        let refer = self.open(Method::Refer).leg(1).backward().extra(Extra::ReferTo("+15550100"));
        self.ask(refer, code);
        for &fragment in fragments {
            let notify = self.open(Method::Notify).leg(1).extra(Extra::Fragment(fragment));
            self.ask(notify, 200);
        }
    }

    fn answers_cross(mut self, fault: Fault) -> Script {
        let invite = self.dial(Extra::None);
        self.ring(invite, 1);
        let cancel = Step { method: Method::Cancel, sdp: false, ..invite };
        let ok = invite.answer(200).leg(1).sdp().mark(Mark::Answered);
        self.wait(500, 3_000);
        match fault {
            Fault::CancelAfterAnswer | Fault::AnswerAfterCancel => {
                let first = matches!(fault, Fault::CancelAfterAnswer);
                let [one, other] = if first { [ok, cancel] } else { [cancel, ok] };
                self.send(one);
                self.wait(1, 10);
                self.send(other);
                self.network();
                self.send(cancel.answer(481));
            }
            _ => {
                let rings = invite.answer(180).leg(2);
                self.send(rings);
                self.wait(500, 1_000);
                self.send(ok);
                if let Fault::TwoAnswer = fault {
                    self.wait(1, 20);
                    self.send(invite.answer(200).leg(2).sdp());
                    self.acknowledge(invite, 2, Mark::None);
                }
            }
        }
        self.network();
        self.acknowledge(invite, 1, Mark::Confirmed);
        self.wait(100, 2_000);
        self.leave(true)
    }

    fn set_up_with(mut self, fault: Fault) -> Script {
        if let Fault::AnsweredLate = fault {
            let invite = self.open(Method::Invite).sdp();
            self.send(invite.mark(Mark::Start));
            self.again(invite, &[1, 2, 4]);
            self.at += 8 * T1;
            self.send(invite.answer(100));
            self.ring(invite, 1);
            self.pick_up(invite, Extra::None);
            return self.leave(true);
        }
        let invite = self.dial(Extra::None);
        match fault {
            Fault::Prack => self.progress(invite),
            Fault::NoPrack => {
                let progress = invite.answer(183).leg(1).sdp();
                self.send(progress.mark(Mark::Ringing));
                self.again(progress, &[1, 2]);
                self.at += 4 * T1;
            }
            _ => {
                self.ring(invite, 1);
                self.wait(500, 3_000);
                let ok = invite.answer(200).leg(1).sdp();
                self.send(ok.mark(Mark::Answered));
                let waits: &[u64] = if let Fault::NoAck = fault { &UNTIL_T2 } else { &[1, 2] };
                self.again(ok, waits);
                self.at += if let Fault::NoAck = fault { 64 * T1 } else { 4 * T1 };
                if let Fault::LateAck = fault {
                    self.acknowledge(invite, 1, Mark::Confirmed);
                    self.wait(1_000, 3_000);
                }
                return self.leave(false);
            }
        }
        self.ring(invite, 1);
        self.pick_up(invite, Extra::None);
        self.leave(true)
    }

    /// 422, and the INVITE with a longer session (RFC 4028 7.3).
    fn interval_too_small(mut self) -> Script {
        let first = self.dial(Extra::Timer(60));
        self.network();
        self.send(first.answer(422).leg(1).extra(Extra::LeastTimer(90)));
        self.send(Step { method: Method::Ack, leg: 1, sdp: false, extra: Extra::None, ..first });
        self.wait(1, 10);
        let second = self.open(Method::Invite).sdp().extra(Extra::Timer(1_800));
        self.send(second);
        self.network();
        self.send(second.answer(100));
        self.ring(second, 1);
        self.pick_up(second, Extra::Timer(1_800));
        self.leave(true)
    }

    /// A session of 90 s: who does not refresh it ends it after 60 s (RFC 4028 10).
    fn session(mut self, fault: Fault) -> Script {
        let invite = self.dial(Extra::Timer(90));
        self.ring(invite, 1);
        self.pick_up(invite, Extra::Timer(90));
        let answered =
            self.steps.iter().find(|step| step.mark == Mark::Answered).map_or(self.at, |step| step.at);
        match fault {
            Fault::SessionExpires => self.at = answered + 60 * SECOND + 100 * super::MILLISECOND,
            Fault::SessionOverdue => self.at = answered + 120 * SECOND,
            _ => {
                self.at = answered + 45 * SECOND;
                let refresh = self.open(Method::Update).leg(1).extra(Extra::Timer(90));
                self.send(refresh);
                self.network();
                self.send(refresh.answer(200).extra(Extra::Timer(90)));
                self.at = answered + 95 * SECOND;
            }
        }
        self.leave(false)
    }

    fn ends(mut self, fault: Fault) -> Script {
        self.set_up();
        let extra = match fault {
            Fault::BadCause => Extra::Cause(38),
            Fault::NormalCause => Extra::Cause(16),
            _ => Extra::None,
        };
        let bye = self.open(Method::Bye).leg(1).extra(extra);
        self.send(bye.mark(Mark::End));
        match fault {
            Fault::ByeUnanswered => self.again(bye, &UNTIL_T2),
            Fault::ByeAnsweredLate => {
                self.again(bye, &[1, 2]);
                self.at += 4 * T1;
                self.send(bye.answer(200));
            }
            _ => {
                self.network();
                self.send(bye.answer(200));
            }
        }
        self.finish(Outcome::Success, Some(200))
    }
}
