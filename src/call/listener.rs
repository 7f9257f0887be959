//! What the tracker tells those who write things down.

use crate::capture::Packet;
use crate::pipeline::View;
use crate::sip::{Message, Messages};
use crate::time::Timestamp;
use crate::tls;

use super::record::{CallEvent, CallKind, CallRecord};

/// What a listener wants to hear of; the tracker does not prepare the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// [`Listener::message`] and [`Listener::media`].
    pub frames: bool,
    /// [`Listener::event`].
    pub events: bool,
    /// Events of every call and registration that the filter leaves, whether or not they are kept.
    pub audit: bool,
    /// Records with [`Listener::closed`].
    pub records: bool,
}

/// What is known of a dialog when it begins.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Call-ID as sent.
    pub call_id: &'a [u8],
    /// URI of From.
    pub from: &'a [u8],
    /// URI of To.
    pub to: &'a [u8],
    /// What kind of dialog.
    pub kind: CallKind,
    /// Time of its first message.
    pub start: Timestamp,
    /// Its first message.
    pub message: &'a [u8],
    /// It is one to keep, as far as is known yet.
    pub kept: bool,
}

/// A message on its way to its call.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The message.
    pub message: &'a Message,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The worker's output that it came in.
    pub messages: &'a Messages,
    /// The batch that it came in.
    pub view: &'a View<'a>,
}

/// A media frame on its way to its call.
#[derive(Clone, Copy, Debug)]
pub struct MediaFrame<'a> {
    /// What the capture says of it.
    pub packet: &'a Packet,
    /// The frame.
    pub frame: &'a [u8],
}

/// Hears what happens to calls. `call` names a call until it is closed; then the number is used again.
pub trait Listener {
    /// What it wants to hear of. Asked once.
    fn wants(&self) -> Wants;

    /// A dialog begins.
    fn opened(&mut self, _call: u32, _about: &About<'_>) {}

    /// A dialog that was none to keep when it began is one now.
    fn kept(&mut self, _call: u32) {}

    /// Messages of these calls are about to come: what is kept of them is best fetched now, to be waited for together.
    fn touch(&self, _calls: &[u32]) {}

    /// A message of a call, in capture order.
    fn message(&mut self, _call: u32, _delivery: &Delivery<'_>) {}

    /// A media frame of a call. Those captured before their SDP come late, in their own order.
    fn media(&mut self, _call: u32, _frame: &MediaFrame<'_>) {}

    /// It became known how a TLS handshake in front of SIP ended.
    fn tls(&mut self, _report: &tls::Report) {}

    /// Something happened to a call.
    fn event(&mut self, _call: u32, _event: &CallEvent) {}

    /// A dialog has ended as far as its messages tell: what still comes is an acknowledgement, or late.
    fn ended(&mut self, _call: u32) {}

    /// A dialog is over and nothing more will come. Without a record it is not one of those to keep.
    fn closed(&mut self, call: u32, kept: bool, record: Option<CallRecord>);

    /// Packet time, which is not always that of stamps, reached `now`; at most every 100 ms of it. What has waited long
    /// enough may go to disk.
    fn tick(&mut self, _now: Timestamp) {}

    /// All of a batch is told. On a live wire the next may be a while, and somebody waits for what is buffered.
    fn batch_end(&mut self) {}
}
