//! Request methods.

/// A request method: those of the IANA registry, or any other token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of the registry")]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Prack,
    Subscribe,
    Notify,
    Publish,
    Info,
    Refer,
    Message,
    Update,
    /// Not in the registry: the token stands in the message.
    #[default]
    Other,
}

impl Method {
    /// The methods of the IANA registry "SIP Methods", in the order of this enum.
    pub const REGISTERED: [Self; 14] = [
        Self::Invite,
        Self::Ack,
        Self::Bye,
        Self::Cancel,
        Self::Register,
        Self::Options,
        Self::Prack,
        Self::Subscribe,
        Self::Notify,
        Self::Publish,
        Self::Info,
        Self::Refer,
        Self::Message,
        Self::Update,
    ];

    /// The method that `token` names. Methods are case-sensitive (RFC 3261 7.1): `invite` is [`Method::Other`].
    #[must_use]
    #[inline]
    pub fn from_token(token: &[u8]) -> Self {
        // What most messages are about.
        if token == b"INVITE" {
            return Self::Invite;
        }
        Self::any_from_token(token)
    }

    fn any_from_token(token: &[u8]) -> Self {
        match token {
            b"INVITE" => Self::Invite,
            b"ACK" => Self::Ack,
            b"BYE" => Self::Bye,
            b"CANCEL" => Self::Cancel,
            b"REGISTER" => Self::Register,
            b"OPTIONS" => Self::Options,
            b"PRACK" => Self::Prack,
            b"SUBSCRIBE" => Self::Subscribe,
            b"NOTIFY" => Self::Notify,
            b"PUBLISH" => Self::Publish,
            b"INFO" => Self::Info,
            b"REFER" => Self::Refer,
            b"MESSAGE" => Self::Message,
            b"UPDATE" => Self::Update,
            _ => Self::Other,
        }
    }

    /// The method as it is written; `OTHER` for one that is not in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Register => "REGISTER",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Publish => "PUBLISH",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Message => "MESSAGE",
            Self::Update => "UPDATE",
            Self::Other => "OTHER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registered_name_reads_back() {
        for method in Method::REGISTERED {
            assert_eq!(Method::from_token(method.name().as_bytes()), method);
        }
    }

    /// RFC 3261 7.1: the method is case-sensitive; RFC 4475 3.1.1.2 uses a token of odd characters.
    #[test]
    fn other_tokens_are_other() {
        for token in
            [&b"invite"[..], b"", b"OTHER", b"INVITES", b"!interesting-Method0123456789_*+`.%indeed'~"]
        {
            assert_eq!(Method::from_token(token), Method::Other);
        }
    }
}
