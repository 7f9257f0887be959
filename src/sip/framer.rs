//! Finding messages in a stream.

/// What the unconsumed bytes of a stream begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message: `head` bytes with the empty line, `length` bytes with the body.
    Message {
        /// Bytes from the start line to the end of the empty line.
        head: usize,
        /// Bytes of the whole message; consume them.
        length: usize,
    },
    /// A whole head whose body is larger than the limit: consume the head, then skip `body` bytes by count
    /// without asking again until they are through.
    Oversize {
        /// Bytes from the start line to the end of the empty line; consume them.
        head: usize,
        /// Bytes of the stream to skip after the head; never to be buffered.
        body: u64,
    },
    /// At least `need` more bytes (never 0) before asking again can help. Keep what is there.
    Incomplete {
        /// Bytes to wait for.
        need: usize,
    },
    /// One line end between messages (RFC 3261 7.5, RFC 5626 3.5.1): consume.
    KeepAlive {
        /// 2 for CRLF, 1 for a lone LF.
        length: usize,
    },
    /// Not SIP: drop these bytes and ask again.
    NotSip {
        /// Bytes to drop, at least 1.
        skip: usize,
    },
}

/// Finds the messages of one direction of a stream.
#[derive(Clone, Debug)]
pub struct Framer {
    max_message: usize,
    searching: bool,
}

impl Framer {
    /// A framer at the beginning of a stream. Bodies above `max_message` bytes are not to be buffered.
    #[must_use]
    pub const fn new(max_message: usize) -> Self {
        Self { max_message, searching: false }
    }

    /// A hole or a mid-stream join: the next message begins at the next start line, wherever that is. The caller
    /// drops what it still held from before the hole.
    pub fn resynchronise(&mut self) {
        self.searching = true;
    }

    /// Whether the next bytes are expected to be a start line or a keep-alive.
    #[must_use]
    pub const fn is_synchronised(&self) -> bool {
        !self.searching
    }

    /// Looks at the unconsumed bytes of the stream, from the first. The caller consumes what the answer says and
    /// asks again, with everything not consumed still in front.
    pub fn next(&mut self, buffer: &[u8]) -> Frame {
        let _ = (buffer, self.max_message);
        Frame::Incomplete { need: 1 }
    }
}

/// What the first bytes of a stream look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A SIP start line.
    Sip,
    /// Something that can never become one.
    NotSip,
    /// A prefix of something that can still become one (or nothing but line ends).
    NeedMore,
}

/// Whether a stream's first bytes are a SIP start line, after any number of line ends.
#[must_use]
pub fn probe(bytes: &[u8]) -> Probe {
    let _ = bytes;
    Probe::NeedMore
}

/// Whether a datagram begins with a SIP start line.
#[must_use]
pub fn is_sip_datagram(payload: &[u8]) -> bool {
    probe(payload) == Probe::Sip
}
