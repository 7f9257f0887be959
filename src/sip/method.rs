//! Request methods of the IANA registry.

use super::Method;

impl Method {
    /// The registered methods, in the order of their discriminants.
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

    /// The method that a token names. Methods are case-sensitive (RFC 3261 7.1): `invite` is another one.
    #[must_use]
    #[inline]
    pub fn from_token(token: &[u8]) -> Self {
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

    /// The token of a registered method, `OTHER` for any other.
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
    fn tokens_and_names_agree() {
        for (index, method) in Method::REGISTERED.into_iter().enumerate() {
            assert_eq!(Method::from_token(method.name().as_bytes()), method);
            assert_eq!(method as usize, index);
        }
        assert_eq!(Method::from_token(b"invite"), Method::Other);
        assert_eq!(Method::from_token(b"INVITEX"), Method::Other);
    }
}
