//! One message of a dialog, before it is text.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Update,
    Refer,
    Notify,
}

impl Method {
    /// As the request line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Register => "REGISTER",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
        }
    }
}

/// What a message means for the ledger's list of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Start,
    Ringing,
    Answered,
    /// The dialog is confirmed: media may begin.
    Confirmed,
    End,
}

/// What a message has that others of its kind have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    None,
    /// The direction of its audio.
    Direction(&'static str),
    /// Its media moves to another host.
    Elsewhere,
    /// A session timer of so many seconds (RFC 4028).
    Timer(u32),
    /// The least session timer that is accepted.
    LeastTimer(u32),
    /// Whom to call (RFC 3515).
    ReferTo(&'static str),
    /// The status of what a REFER asked for (RFC 3420).
    Fragment(u16),
    /// Why it ends, as ISDN has it (RFC 3326).
    Cause(u16),
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Nanoseconds after the dialog's begin.
    pub(crate) at: u64,
    /// The method of the request, or of the request that is answered.
    pub(crate) method: Method,
    /// The status code of a response; none for a request.
    pub(crate) code: Option<u16>,
    /// Sent by the end that opened the dialog.
    pub(crate) forward: bool,
    pub(crate) cseq: u32,
    /// Number of the client transaction within the dialog.
    pub(crate) branch: u16,
    /// Which of the called parties' tags the message has; 0 is none.
    pub(crate) leg: u8,
    pub(crate) sdp: bool,
    pub(crate) credentials: bool,
    /// Padded beyond the MTU.
    pub(crate) large: bool,
    /// The same message was sent before.
    pub(crate) repeated: bool,
    pub(crate) mark: Mark,
    pub(crate) extra: Extra,
}

impl Step {
    /// A request of the end that opened the dialog.
    pub(crate) fn request(method: Method, cseq: u32, branch: u16) -> Self {
        Self {
            at: 0,
            method,
            code: None,
            forward: true,
            cseq,
            branch,
            leg: 0,
            sdp: false,
            credentials: false,
            large: false,
            repeated: false,
            mark: Mark::None,
            extra: Extra::None,
        }
    }

    /// The answer to a request: the same transaction, the other way.
    pub(crate) fn answer(self, code: u16) -> Self {
        Self {
            code: Some(code),
            forward: !self.forward,
            sdp: false,
            credentials: false,
            large: false,
            mark: Mark::None,
            extra: Extra::None,
            ..self
        }
    }

    /// With the tag of a called party.
    pub(crate) fn leg(self, leg: u8) -> Self {
        Self { leg, ..self }
    }

    /// With a body.
    pub(crate) fn sdp(self) -> Self {
        Self { sdp: true, ..self }
    }

    /// With what others have not.
    pub(crate) fn extra(self, extra: Extra) -> Self {
        Self { extra, ..self }
    }

    /// With a meaning for the ledger.
    pub(crate) fn mark(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }

    /// Sent by the end that did not open the dialog.
    pub(crate) fn backward(self) -> Self {
        Self { forward: false, ..self }
    }

    /// UDP repeats these when an answer is late (RFC 3261 17.1.1.2, 17.1.2.2, 13.3.1.4).
    pub(crate) fn is_repeatable(&self) -> bool {
        match self.code {
            None => matches!(self.method, Method::Invite | Method::Bye | Method::Register),
            Some(code) => code == 200 && self.method == Method::Invite,
        }
    }
}
