//! Keys pressed that go by INFO and not by RTP. No RFC has their bodies; gateways and phones agree on
//! `application/dtmf-relay` (`Signal=5`, `Duration=160`, one a line) and `application/dtmf` (`5`).

use super::passing::Passing;
use super::record::{InfoDtmfRecord, Side};
use crate::call::dialog::{Dialog, Look};
use crate::quality::{MAX_KEYS, key_name};
use crate::sip::header::number;
use crate::sip::{Head, is_media_type};

/// Bytes of a body that are looked at: two lines are enough.
const MAX_BODY: usize = 256;

/// What one end pressed.
#[derive(Clone, Debug, Default)]
pub(super) struct Pressed {
    count: u32,
    /// The first [`MAX_KEYS`].
    keys: Vec<u8>,
    /// The latest, so that its other hops do not count again.
    latest: Option<Passing>,
    /// The latest was challenged: it comes again, with its credentials and another CSeq.
    is_taken_back: bool,
}

impl Pressed {
    fn press(&mut self, info: Passing, key: u8) {
        if self.latest.is_some_and(|latest| info.cseq <= latest.cseq || latest.is(info)) {
            return;
        }
        self.latest = Some(info);
        self.is_taken_back = false;
        self.count = self.count.saturating_add(1);
        if self.keys.len() < MAX_KEYS {
            self.keys.push(key);
        }
    }

    fn answered(&mut self, look: &Look<'_>, status: u16) {
        let Some(latest) = &mut self.latest else { return };
        latest.answered(look);
        let is_challenged = matches!(status, 401 | 407) && latest.has(look);
        if is_challenged && !self.is_taken_back {
            self.is_taken_back = true;
            self.count -= 1;
            self.keys.truncate(usize::try_from(self.count).unwrap_or(MAX_KEYS));
        }
    }
}

impl Dialog {
    /// An INFO: a key, or something else.
    pub(super) fn info(&mut self, look: &Look<'_>) {
        let Some(key) = key_of_info(look.head, look.bytes) else { return };
        let keys = &look.head.keys;
        // A B2BUA answers it at once, and tells its other leg in its own time.
        if self.signalling.is_of_leg(keys.from_tag) || self.signalling.is_of_leg(keys.to_tag) {
            return;
        }
        let by = self.requester(look);
        let pressed = self.signalling.rare().pressed.get_or_insert_default();
        pressed.get_mut(by as usize).into_iter().for_each(|pressed| pressed.press(Passing::new(look), key));
    }

    pub(super) fn info_answered(&mut self, look: &Look<'_>, status: u16) {
        let by = self.requester(look);
        let pressed = self.signalling.rare.as_mut().and_then(|rare| rare.pressed.as_mut());
        if let Some(pressed) = pressed.and_then(|pressed| pressed.get_mut(by as usize)) {
            pressed.answered(look, status);
        }
    }

    pub(super) fn info_dtmf(&self) -> Vec<InfoDtmfRecord> {
        let pressed = self.signalling.rare.iter().flat_map(|rare| &rare.pressed).flat_map(|ends| ends.iter());
        let told = [Side::Caller, Side::Callee].into_iter().zip(pressed).filter(|(_, it)| it.count > 0);
        told.map(|(by, it)| InfoDtmfRecord { by, digits: it.count, dtmf: Some(super::text(&it.keys)) })
            .collect()
    }
}

/// The key that an INFO tells of.
pub(crate) fn key_of_info(head: &Head, bytes: &[u8]) -> Option<u8> {
    key(head.content_type.of(bytes), head.body.of(bytes))
}

/// The key that a body names.
fn key(kind: &[u8], body: &[u8]) -> Option<u8> {
    let body = body.get(..body.len().min(MAX_BODY))?;
    if is_media_type(kind, b"application", b"dtmf") {
        return named(body.trim_ascii());
    }
    if !is_media_type(kind, b"application", b"dtmf-relay") {
        return None;
    }
    body.split(|byte| matches!(byte, b'\r' | b'\n')).find_map(|line| {
        let place = line.iter().position(|&byte| byte == b'=')?;
        let (name, value) = line.split_at_checked(place)?;
        if !name.trim_ascii().eq_ignore_ascii_case(b"signal") {
            return None;
        }
        named(value.get(1..)?.trim_ascii())
    })
}

/// A key by its sign, or by its number among telephone events: some send `10` for the star (RFC 4733 3.2).
fn named(value: &[u8]) -> Option<u8> {
    match *value {
        [sign @ (b'0'..=b'9' | b'*' | b'#')] => Some(sign),
        [letter @ (b'A'..=b'D' | b'a'..=b'd')] => Some(letter.to_ascii_uppercase()),
        [_, _] => number(value).and_then(|event| u8::try_from(event).ok()).and_then(key_name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_read_as_devices_send_them() {
        let rows: [(&str, &str, Option<char>); 20] = [
            ("application / dtmf-relay", "Signal=5\r\n", Some('5')),
            ("application /dtmf", "7", Some('7')),
            ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", Some('5')),
            ("application/dtmf-relay", "Signal= 1\r\nDuration= 160", Some('1')),
            ("Application/DTMF-Relay ; x=y", "Duration=250\nsignal = *\n", Some('*')),
            ("application/dtmf-relay", "Signal=#", Some('#')),
            ("application/dtmf-relay", "Signal=A\r\n", Some('A')),
            ("application/dtmf-relay", "Signal=d\r\n", Some('D')),
            ("application/dtmf-relay", "Signal=10\r\n", Some('*')),
            ("application/dtmf-relay", "Signal=11\r\n", Some('#')),
            ("application/dtmf-relay", "Signal=15\r\n", Some('D')),
            ("application/dtmf-relay", "Signal=16\r\n", None),
            ("application/dtmf-relay", "Signal=hf\r\n", None),
            ("application/dtmf-relay", "Signal=\r\n", None),
            ("application/dtmf-relay", "Duration=160\r\n", None),
            ("application/dtmf", "7", Some('7')),
            ("application/dtmf", " 0\r\n", Some('0')),
            ("application/dtmf", "Signal=5", None),
            ("application/sdp", "Signal=5", None),
            ("", "", None),
        ];
        for (kind, body, expected) in rows {
            let found = key(kind.as_bytes(), body.as_bytes()).map(char::from);
            assert_eq!(found, expected, "{kind}: {body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_names_a_key_or_none(kind in "application/dtmf(-relay)?", body: Vec<u8>) {
            let found = key(kind.as_bytes(), &body);
            prop_assert!(found.is_none_or(|key| b"0123456789*#ABCD".contains(&key)));
        }
    }
}
