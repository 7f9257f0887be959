//! What is certain of a message whose end was not captured: a datagram that the snap length cut, or what there is of a message
//! in a stream before a loss.

use super::header::Lines;
use super::line_ends;
use super::search::LineFeeds;

/// The part of such a message that its rest does not change. All of it when its header section has ended; else its start line
/// and the header fields that have, without a last one that may go on in the next line (RFC 3261 7.3.1).
#[cold]
#[must_use]
pub fn certain(message: &[u8]) -> &[u8] {
    let Some(start_line) = LineFeeds::new(line_ends(message)).next(message) else { return &[] };
    let mut lines = Lines::new(message, start_line);
    let mut end = start_line;
    while lines.next().is_some() {
        if lines.position() < message.len() {
            end = lines.position();
        }
    }
    if lines.is_closed() { message } else { message.get(..end).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of RFC 3261 7.3.1's example of a folded field among others, with what is certain where each is cut anywhere.
    #[test]
    fn a_line_counts_when_the_next_one_has_begun() {
        let fields = [
            "INVITE sip:bob@biloxi.example SIP/2.0\r\n",
            "Call-ID: a84b4c76e66710\r\n",
            "Subject: I know you're there,\r\n         pick up the phone\r\n         and answer!\r\n",
            "From: <sip:alice@atlanta.example>\r\n\t;tag=1928301774\n",
            "CSeq: 314159 INVITE\r\n",
        ];
        let message = [&fields.concat(), "\r\n"].concat();
        for cut in 0..message.len() {
            let mut expected = 0;
            for (number, field) in fields.iter().enumerate() {
                let end = expected + field.len();
                // Nothing goes on from the start line; of every other field the first byte of what follows has to be there.
                if cut < end || (number > 0 && cut == end) {
                    break;
                }
                expected = end;
            }
            let found = certain(&message.as_bytes()[..cut]);
            assert_eq!(found, &message.as_bytes()[..expected], "of {cut} bytes");
        }
        assert_eq!(certain(message.as_bytes()), message.as_bytes());
        let with_body = [&message, "v=0\r\no=- 1"].concat();
        assert_eq!(certain(with_body.as_bytes()), with_body.as_bytes());
    }

    #[test]
    fn line_ends_in_front_are_no_end_of_a_header_section() {
        assert_eq!(
            certain(b"\r\n\r\nBYE sip:a SIP/2.0\r\nCall-ID: 1\r\nCSe"),
            b"\r\n\r\nBYE sip:a SIP/2.0\r\nCall-ID: 1\r\n"
        );
        assert_eq!(certain(b"\r\n\r\n"), b"");
        assert_eq!(certain(b""), b"");
    }
}
