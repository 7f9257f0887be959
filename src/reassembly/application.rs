//! What reassembly hands to the protocol above it.

use crate::decode::TcpHeader;
use crate::flow::{Direction, Endpoint};
use crate::pipeline::Bytes;
use crate::time::Timestamp;

/// One captured TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// What [`PairHasher::hash_either_way`](crate::flow::PairHasher::hash_either_way) has for both.
    pub hash: u64,
    /// Its TCP header.
    pub header: TcpHeader,
    /// Its payload, as far as it was captured.
    pub payload: &'a [u8],
    /// Where the payload lies, if it is in the batch.
    pub place: Option<Bytes>,
    /// Payload bytes that the capture cut off after `payload`.
    pub missing: u32,
    /// When it was captured.
    pub captured: Timestamp,
}

/// Who is talking, and which packet is being looked at: what a message that completes now carries.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Number of the packet (or tick) that caused this call; what it completes carries this number.
    pub sequence: u64,
    /// Time of that packet; of bytes that waited for others, which did not come, when they were captured.
    pub timestamp: Timestamp,
    /// Which stream of the connection.
    pub direction: Direction,
    /// The sender on this stream.
    pub source: Endpoint,
    /// The receiver on this stream.
    pub destination: Endpoint,
    /// Number of the connection, unique in a run, the same for both directions, independent of worker count.
    /// (The sequence number of the packet that opened it.)
    pub connection: u64,
    /// Index, in the current batch, of the packet that is looked at; none on ticks and at the end.
    pub packet: Option<u32>,
    /// Whether another connection is the same one.
    pub space: Space,
}

/// A connection that was captured on both sides of a firewall which numbers its bytes anew is two: nothing else tells
/// them apart, and what is said on one is said on the other, sooner or later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// It is one, as far as is known.
    #[default]
    Only,
    /// It is two, and this was there first.
    First,
    /// It is two, and this came second.
    Second,
}

/// The next bytes of one stream, in order and without a hole before them.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The bytes; never empty.
    pub bytes: &'a [u8],
    /// Where they lie when they are still in the batch; none when they come out of the out-of-order store.
    pub place: Option<Bytes>,
    /// When the segment that carried them was captured.
    pub captured: Timestamp,
    /// The first bytes of a stream whose SYN was seen. When false on the first chunk, the capture joined in the middle.
    pub opening: bool,
    /// The bytes begin where a captured segment's payload began.
    pub segment_start: bool,
    /// Bytes after them that the capture cut off. Should they come after all (captured twice), they are the next.
    pub missing: u32,
}

/// What the application thinks of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// This connection is not for us: deliver nothing more of it, in either direction, and hold nothing; unless
    /// [`Application::may_resume`].
    Reject,
}

/// A protocol over TCP. One value per connection serves both directions.
pub trait Application: Default {
    /// Where it puts what it finds.
    type Output;

    /// Takes the next bytes of a stream.
    fn data(&mut self, context: &Context, chunk: &Chunk<'_>, output: &mut Self::Output) -> Verdict;

    /// Whether a connection of which these are the first bytes is none to be read. Nothing is made for it then.
    fn declines(_context: &Context, _chunk: &Chunk<'_>, _output: &mut Self::Output) -> bool {
        false
    }

    /// Fetches what the next bytes will need.
    fn touch(&self) {}

    /// Whether it knows that the connection carries what it reads.
    fn is_certain(&self) -> bool {
        false
    }

    /// Asked when it has rejected the connection: whether a segment that [`Self::resumes`] begins it anew, as if the
    /// capture had joined it there.
    fn may_resume(&self) -> bool {
        false
    }

    /// Whether the payload of a segment begins with what is read.
    fn resumes(_payload: &[u8]) -> bool {
        false
    }

    /// Is told that `lost` bytes of a stream were never captured (0: nobody knows how many); what comes next does
    /// not connect.
    fn gap(&mut self, context: &Context, lost: u64, output: &mut Self::Output);

    /// Is told that a stream is over: FIN, RST, time-out or end of input. Both directions are told before the
    /// value is dropped, whether or not they carried anything. Should more come after all, a gap comes first.
    fn end(&mut self, context: &Context, output: &mut Self::Output);

    /// Drops the partial message of every direction, because memory is short.
    fn shed(&mut self);

    /// Bytes that it has allocated to wait for more: 0 when no message is partial.
    fn held(&self) -> usize;
}
