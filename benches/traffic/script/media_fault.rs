//! Calls with one fault each in their media, and as many that look like it and have none.

use super::super::media::{EVENT, NOISE};
use super::super::stretch::{Fate, Format, PACKET, Place, Stretch};
use super::{Author, Extra, MILLISECOND, Mark, SECOND, Script};

/// What goes wrong, or seems to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Plain,
    Loss,
    LittleLoss,
    HeavyLoss,
    /// A queue that some packets come too late from.
    Queue,
    Jitter,
    Reordered,
    Duplicated,
    OneWay,
    /// As short as nobody misses.
    OneWayShortly,
    /// An announcement before the answer, and nothing after it.
    OneWayAfterRingback,
    /// One side only listens, as its description says.
    Listens,
    Hold,
    /// Music from the other side, and an answer in both directions.
    Music,
    NoAudio,
    NoAudioShortly,
    Inactive,
    Late,
    LateOneWay,
    ALittleLate,
    /// On hold from the beginning, and taken up later.
    TakenUp,
    AfterEnd,
    InFlight,
    BeforeAnswer,
    EarlyMedia,
    Stranger,
    OtherPort,
    Moved,
    NewSource,
    NewNumbers,
    Wrap,
    WrongCodec,
    TwoCodecs,
    /// Both sides change to another codec of their descriptions.
    OtherCodec,
    Keys,
    Noise,
    Silence,
}

const ALL: [Fault; 37] = [
    Fault::Plain,
    Fault::Loss,
    Fault::LittleLoss,
    Fault::HeavyLoss,
    Fault::Queue,
    Fault::Jitter,
    Fault::Reordered,
    Fault::Duplicated,
    Fault::OneWay,
    Fault::OneWayShortly,
    Fault::OneWayAfterRingback,
    Fault::Listens,
    Fault::Hold,
    Fault::Music,
    Fault::NoAudio,
    Fault::NoAudioShortly,
    Fault::Inactive,
    Fault::Late,
    Fault::LateOneWay,
    Fault::ALittleLate,
    Fault::TakenUp,
    Fault::AfterEnd,
    Fault::InFlight,
    Fault::BeforeAnswer,
    Fault::EarlyMedia,
    Fault::Stranger,
    Fault::OtherPort,
    Fault::Moved,
    Fault::NewSource,
    Fault::NewNumbers,
    Fault::Wrap,
    Fault::WrongCodec,
    Fault::TwoCodecs,
    Fault::OtherCodec,
    Fault::Keys,
    Fault::Noise,
    Fault::Silence,
];

impl Fault {
    /// What has to be found.
    fn signs(self) -> &'static [&'static str] {
        match self {
            Self::Loss | Self::Queue => &["packet_loss"],
            Self::HeavyLoss => &["packet_loss", "poor_quality"],
            Self::OneWay | Self::OneWayAfterRingback => &["one_way_audio"],
            Self::NoAudio => &["no_rtp"],
            Self::Late | Self::LateOneWay => &["late_media"],
            Self::AfterEnd => &["media_after_end"],
            Self::BeforeAnswer => &["media_before_answer"],
            Self::Stranger => &["unannounced_source"],
            Self::NewSource => &["ssrc_change"],
            Self::NewNumbers => &["sequence_restart"],
            Self::WrongCodec | Self::TwoCodecs => &["codec_mismatch"],
            Self::Hold | Self::Music => &["hold callee 1"],
            _ => &[],
        }
    }

    /// The directions in offer and answer.
    fn directions(self) -> [&'static str; 2] {
        match self {
            Self::Listens => ["recvonly", "sendonly"],
            Self::Inactive | Self::TakenUp => ["inactive", "inactive"],
            _ => ["sendrecv", "sendrecv"],
        }
    }

    fn has_early_description(self) -> bool {
        matches!(self, Self::EarlyMedia | Self::OneWayAfterRingback)
    }

    /// What becomes of the callee's packets.
    fn fate(self) -> Fate {
        match self {
            Self::Loss => Fate::Lost(5),
            Self::LittleLoss => Fate::Lost(1),
            Self::HeavyLoss => Fate::Lost(45),
            Self::Queue => Fate::Queue(150),
            Self::Jitter => Fate::Jitter(15),
            Self::Reordered => Fate::Overtaken(5),
            Self::Duplicated => Fate::Twice(5),
            _ => Fate::Whole,
        }
    }
}

/// When a call's media is to be.
#[derive(Clone, Copy)]
struct Times {
    /// Of the provisional answer, and of the 200.
    ringing: u64,
    answered: u64,
    /// Of the usual beginning and end of media.
    begin: u64,
    end: u64,
}

impl Times {
    fn both(self) -> [Stretch; 2] {
        // The two ends do not tick together.
        [0, 1].map(|end| Stretch::between(end, self.begin + end as u64 * 7 * MILLISECOND, self.end))
    }
}

impl Author<'_> {
    /// A call with a fault in its media, or with none that looks like one.
    pub(super) fn with_media(mut self) -> Script {
        let fault = ALL[self.rng.index(ALL.len())];
        let mut times = self.connect(fault);
        let short = matches!(fault, Fault::OneWayShortly | Fault::NoAudioShortly);
        let length = if short { 1_200 } else { self.rng.between(3_200, 4_200) };
        times.end = times.begin + length * MILLISECOND;
        self.at = times.begin + SECOND + self.rng.below(200 * MILLISECOND);
        let changed = self.at;
        match fault {
            Fault::Hold => self.renegotiate(Extra::Direction("inactive"), 200, Extra::Direction("inactive")),
            Fault::Music => self.renegotiate(Extra::Direction("sendonly"), 200, Extra::Direction("recvonly")),
            Fault::Moved => self.renegotiate(Extra::Elsewhere, 200, Extra::None),
            Fault::TakenUp => {
                self.at += 2 * SECOND;
                self.renegotiate(Extra::None, 200, Extra::None);
                let confirmed = self.steps.last().map_or(self.at, |step| step.at);
                times.begin = confirmed + 10 * MILLISECOND;
                times.end = self.at.max(times.begin) + 2 * SECOND;
            }
            _ => {}
        }
        let stretches = self.stretches(fault, times, changed);
        self.at = times.end + self.rng.between(20, 40) * MILLISECOND;
        let script = self.leave(false);
        Script { stretches, signs: fault.signs().to_vec(), ..script }
    }

    /// A call up to its ACK; what is asked for and what is answered is said to both.
    fn connect(&mut self, fault: Fault) -> Times {
        let [offer, answer] = fault.directions().map(Extra::Direction);
        let invite = self.dial(offer);
        if fault.has_early_description() {
            self.progress(invite);
        } else {
            self.ring(invite, 1);
        }
        let ringing = self.at;
        self.wait(1_500, 3_000);
        let answered = self.at;
        self.send(invite.answer(200).leg(1).sdp().extra(answer).mark(Mark::Answered));
        self.network();
        self.acknowledge(invite, 1, Mark::Confirmed);
        let begin = self.at + 10 * MILLISECOND;
        Times { ringing, answered, begin, end: begin }
    }

    /// The media of a call; `changed` is when something becomes of it.
    fn stretches(&mut self, fault: Fault, times: Times, changed: u64) -> Vec<Stretch> {
        let Times { ringing, answered, begin, end } = times;
        let [out, back] = times.both();
        let back = back.fate(fault.fate());
        let late = |stretch: Stretch, by: u64| Stretch::between(stretch.end, answered + by, end);
        match fault {
            Fault::NoAudio | Fault::NoAudioShortly | Fault::Inactive => vec![],
            Fault::OneWay | Fault::OneWayShortly => vec![out],
            Fault::Listens => vec![back],
            Fault::OneWayAfterRingback => {
                let until = answered - 30 * MILLISECOND;
                vec![out, Stretch::between(1, ringing + 50 * MILLISECOND, until)]
            }
            Fault::Hold => vec![Stretch::between(0, begin, changed), Stretch::between(1, begin, changed)],
            Fault::Music => vec![Stretch::between(0, begin, changed), back],
            Fault::Late => {
                let by = self.rng.between(2_100, 2_600) * MILLISECOND;
                vec![late(out, by), late(back, by)]
            }
            Fault::LateOneWay => vec![out, late(back, self.rng.between(2_100, 2_600) * MILLISECOND)],
            Fault::ALittleLate => vec![out, late(back, self.rng.between(1_000, 1_800) * MILLISECOND)],
            Fault::AfterEnd => {
                let until = end + self.rng.between(1_200, 2_500) * MILLISECOND;
                vec![out, Stretch::between(1, begin, until)]
            }
            Fault::InFlight => vec![out, Stretch::between(1, begin, end + 150 * MILLISECOND)],
            Fault::BeforeAnswer => {
                let by = self.rng.between(100, 900) * MILLISECOND;
                vec![out, Stretch::between(1, answered - by, end)]
            }
            Fault::EarlyMedia => vec![out, Stretch::between(1, ringing + 50 * MILLISECOND, end)],
            Fault::Stranger => vec![out, Stretch { from: Place::Elsewhere, ..back }],
            Fault::OtherPort => vec![out, Stretch { from: Place::OtherPort, ..back }],
            Fault::Moved => {
                let settled = changed + 100 * MILLISECOND;
                let first = [0, 1].map(|end| Stretch::between(end, begin, changed));
                let second =
                    [0, 1].map(|end| Stretch { source: 1, ..Stretch::between(end, settled, times.end) });
                let second = [
                    Stretch { to: Place::Elsewhere, ..second[0] },
                    Stretch { from: Place::Elsewhere, ..second[1] },
                ];
                [first, second].concat()
            }
            Fault::OtherCodec => [pieces(fault, out, changed), pieces(fault, back, changed)].concat(),
            _ => [vec![out], pieces(fault, back, changed)].concat(),
        }
    }
}

/// One side of a call in the stretches that it consists of; `changed` is when something becomes of it.
fn pieces(fault: Fault, whole: Stretch, changed: u64) -> Vec<Stretch> {
    let end = whole.end_time();
    let first = Stretch::between(whole.end, whole.begin, changed);
    let rest = first.then(first.end_time(), end);
    match fault {
        Fault::NewSource => vec![first, Stretch { source: 1, ..rest }],
        Fault::NewNumbers => vec![first, Stretch { sequence: 30_000, ..rest }],
        Fault::Wrap => vec![Stretch { sequence: u16::MAX - 20, ..whole }],
        // GSM, which nobody speaks of.
        Fault::WrongCodec => vec![whole.format(Format::Number(3))],
        Fault::TwoCodecs => vec![whole.format(Format::OtherLaw)],
        Fault::OtherCodec => vec![first, rest.format(Format::OtherLaw)],
        Fault::Keys | Fault::Noise => {
            let number = if fault == Fault::Keys { EVENT } else { NOISE };
            let aside = first.then(first.end_time(), first.end_time() + 10 * PACKET);
            let rest = aside.then(aside.end_time(), end);
            vec![first, aside.format(Format::Number(number)), rest]
        }
        Fault::Silence => vec![first, first.then(first.end_time() + 800 * MILLISECOND, end)],
        _ => vec![whole],
    }
}
