//! Calls through a B2BUA: two dialogs with a Call-ID each, the outgoing one a little later than the incoming one. And calls
//! that look like it and have nothing to do with each other.

use super::message::Identity;
use super::rng::{Rng, mix};
use super::script::{MILLISECOND, Outcome, Script};
use super::step::{Method, Step};

/// The header field that some B2BUAs here mark both legs with, and that only who is told of it knows.
pub(crate) const MARK: &str = "X-Trace-Leg";

/// By what the two legs can be known to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    XCallId,
    XCid,
    SessionId,
    Icid,
    Mark,
    /// Both numbers, in other forms.
    Numbers,
    /// The called number; the calling one becomes the trunk's.
    Called,
    /// The calling number; the called one becomes an extension.
    Calling,
    /// The calling number, and Diversion with the called one.
    Diverted,
    /// Media goes past the B2BUA; no number stays.
    Media,
}

const LINKS: [Link; 10] = [
    Link::XCallId,
    Link::XCid,
    Link::SessionId,
    Link::Icid,
    Link::Mark,
    Link::Numbers,
    Link::Called,
    Link::Calling,
    Link::Diverted,
    Link::Media,
];

impl Link {
    /// Any of them.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        LINKS[rng.index(LINKS.len())]
    }

    /// What joins the legs of a call that takes this course, in the words of the records; none where not enough shows.
    pub(crate) fn joined_by(self, outcome: Outcome) -> Option<&'static str> {
        let is_answered = matches!(outcome, Outcome::Success | Outcome::Open);
        match self {
            Self::XCallId => Some("x-call-id"),
            Self::XCid => Some("x-cid"),
            Self::SessionId => Some("session-id"),
            Self::Icid => Some("icid"),
            Self::Mark => Some("x-trace-leg"),
            Self::Numbers | Self::Diverted | Self::Media => Some("evidence"),
            Self::Called | Self::Calling => is_answered.then_some("evidence"),
        }
    }
}

/// What two calls have in common that are none of each other's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookalike {
    /// The called number; one comes in and one goes out.
    Called,
    /// The calling number.
    Calling,
    /// Both numbers.
    Numbers,
    /// The time, and nothing else.
    Time,
    /// Both come in from one device that uses one port for media, between the same numbers.
    Device,
}

const LOOKALIKES: [Lookalike; 5] =
    [Lookalike::Called, Lookalike::Calling, Lookalike::Numbers, Lookalike::Time, Lookalike::Device];

impl Lookalike {
    /// Any of them.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        LOOKALIKES[rng.index(LOOKALIKES.len())]
    }

    /// Makes the second of two calls look like the first's other leg.
    pub(crate) fn dress(self, [first, second]: &mut [Identity; 2]) {
        let people = [0, 1].map(|end| number(first.key ^ (end + 1)));
        let others = [0, 1].map(|end| number(second.key ^ (end + 1)));
        second.people = Some(match self {
            Self::Called => [others[0].clone(), people[1].clone()],
            Self::Calling => [people[0].clone(), others[1].clone()],
            Self::Numbers | Self::Device => people.clone(),
            Self::Time => others,
        });
        first.people = Some(people);
        if self == Self::Device {
            second.ends = first.ends;
            second.media[0] = first.media[0];
            second.session_key = first.session_key;
        }
    }
}

/// A number of the plan of [`Identity::user`], always one.
fn number(seed: u64) -> String {
    format!("+1555{:07}", mix(seed) % 10_000_000)
}

/// Makes the second of two calls the outgoing leg of the first.
pub(crate) fn connect(link: Link, identical: bool, [first, second]: &mut [Identity; 2]) {
    // A load test calls one number from one number.
    let seed = if identical { 7 } else { first.key };
    let people = [0, 1].map(|end| number(seed ^ (end + 1)));
    let other_form = |number: &str| match second.key % 3 {
        0 => format!("00{}", &number[1..]),
        1 => number[1..].to_owned(),
        _ => number.to_owned(),
    };
    let [calling, called] = [0, 1].map(|end| other_form(&people[end]));
    let trunk = "trunk-4711".to_owned();
    let extension = format!("desk{}", second.key % 10_000);
    let call_id = first.call_id();
    second.people = Some(match link {
        Link::Numbers => [calling, called],
        Link::Called => [trunk, called],
        Link::Calling | Link::Diverted => [calling, extension],
        _ => [trunk, extension],
    });
    match link {
        Link::XCallId => second.fields = format!("X-Call-ID: {call_id}\r\n"),
        Link::XCid => second.fields = format!("X-CID: {call_id}\r\n"),
        Link::Diverted => {
            second.fields =
                format!("Diversion: <sip:{}@sip.example.net>;reason=unconditional\r\n", people[1]);
        }
        Link::SessionId => {
            let uuid = format!("{:016x}{:016x}", mix(first.key), mix(second.key));
            both(first, second, format!("Session-ID: {uuid};remote={:032}\r\n", 0));
        }
        Link::Icid => {
            let icid = format!(
                "P-Charging-Vector: icid-value={:x};icid-generated-at=192.0.2.1\r\n",
                mix(first.key) | 1 << 60
            );
            both(first, second, icid);
        }
        Link::Mark => both(first, second, format!("{MARK}: {:016x}\r\n", mix(first.key))),
        Link::Media => {
            second.media[0] = first.media[0];
            first.media[1] = second.media[1];
            second.session_key = first.session_key;
        }
        Link::Numbers | Link::Called | Link::Calling => {}
    }
    first.people = Some(people);
}

fn both(first: &mut Identity, second: &mut Identity, fields: String) {
    first.fields.clone_from(&fields);
    second.fields = fields;
}

/// The incoming leg of a call whose outgoing leg is `script` and begins `delay` later; what goes on passes the B2BUA within
/// `passing`. All in nanoseconds.
pub(crate) fn incoming(script: &Script, delay: u64, passing: u64) -> Script {
    let mut steps: Vec<Step> =
        script.steps.iter().map(|step| Step { at: moved(step, delay, passing), ..*step }).collect();
    steps.sort_by_key(|step| step.at);
    Script {
        steps,
        outcome: script.outcome,
        code: script.code,
        talk: 0,
        ended_by_caller: script.ended_by_caller,
        stretches: Vec::new(),
        signs: Vec::new(),
    }
}

fn moved(step: &Step, delay: u64, passing: u64) -> u64 {
    let is_request = step.code.is_none() && step.forward;
    match step.method {
        // With its repetitions.
        Method::Invite if is_request && step.branch == 1 => step.at,
        Method::Bye | Method::Cancel if is_request => step.at + delay - passing,
        _ => step.at + delay + passing,
    }
}

/// How long the B2BUA thinks, and how long it takes to pass something on.
pub(crate) fn delays(rng: &mut Rng) -> (u64, u64) {
    let passing = rng.between(MILLISECOND, 20 * MILLISECOND);
    (passing + rng.between(2 * MILLISECOND, 40 * MILLISECOND), passing)
}
