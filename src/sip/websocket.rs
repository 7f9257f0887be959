//! WebSocket frames and the HTTP upgrade before them (RFC 6455, RFC 7118).

/// What the unconsumed bytes of a WebSocket stream begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebSocketFrame {
    /// The last frame of a message. Consume `length` bytes; the whole payload, unmasked, is in the output: take it
    /// and clear the output before the next call.
    Message {
        /// Bytes of the frame.
        length: usize,
    },
    /// A frame of a message of which more is to come: consume, leave the output as it is.
    Fragment {
        /// Bytes of the frame.
        length: usize,
    },
    /// Ping, pong or close: consume.
    Control {
        /// Bytes of the frame.
        length: usize,
    },
    /// Data that cannot be read (above the limit, compressed by an extension): consume `header` bytes, then skip
    /// `payload` bytes by count. What there was of its message is gone from the output.
    Unreadable {
        /// Bytes of the frame's header; consume them.
        header: usize,
        /// Bytes of the stream to skip after it; never to be buffered.
        payload: u64,
    },
    /// At least `need` more bytes (never 0) before asking again can help.
    Incomplete {
        /// Bytes to wait for.
        need: usize,
    },
    /// No WebSocket frame (RFC 6455 5.2); there is no way to find the next one.
    Invalid,
}

/// Takes the frames of one direction apart.
#[derive(Clone, Debug)]
pub struct WebSocket {
    max_message: usize,
}

impl WebSocket {
    /// A direction behind its HTTP upgrade. Messages above `max_message` bytes are skipped.
    #[must_use]
    pub const fn new(max_message: usize) -> Self {
        Self { max_message }
    }

    /// Looks at the unconsumed bytes of the stream, from the first; appends the payload of data frames to `output`.
    pub fn next(&mut self, buffer: &[u8], output: &mut Vec<u8>) -> WebSocketFrame {
        let _ = (buffer, output, self.max_message);
        WebSocketFrame::Invalid
    }
}

/// What the first bytes of a stream say about a change from HTTP to WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// They can still become a request or response for one.
    Incomplete,
    /// They are none.
    No,
    /// `GET` with `Upgrade: websocket`, or `HTTP/1.1 101` with it: frames begin after `length` bytes.
    Yes {
        /// Bytes of the HTTP head.
        length: usize,
        /// The subprotocol offered or chosen is `sip` (RFC 7118 4).
        sip: bool,
    },
}

/// Reads the HTTP head at the beginning of a stream, at most 16 KiB of it.
#[must_use]
pub fn upgrade(buffer: &[u8]) -> Upgrade {
    let _ = buffer;
    Upgrade::No
}
