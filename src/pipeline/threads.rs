//! The stages over threads: the source and its intake here, one thread per stream worker, one for the tracker.
//!
//! Batch *k* becomes one lane for every worker, maybe empty, and one direct list for the tracker; each worker
//! answers *k* once. The tracker takes one answer from every worker and merges them by sequence number, so the
//! result is that of the inline run. Queues are bounded and a file waits: nothing is dropped.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::order::Order;
use super::run::{Continue, Reader, Stages};
use super::work::Staged;
use super::worker::StreamWorker;
use crate::call::Listener;
use crate::capture::{Packet, PacketBatch, Progress, SourceError};
use crate::sip::Messages;

/// Batches that may wait between two stages.
const QUEUE: usize = 8;

/// A batch with its bytes, shared by every stage.
#[derive(Default)]
struct Shared {
    arena: Vec<u8>,
    packets: Vec<Packet>,
    staged: Staged,
}

impl Shared {
    fn fill(&mut self, batch: PacketBatch<'_>) {
        self.arena.clear();
        self.packets.clear();
        for packet in batch.packets {
            let offset = self.arena.len() as u32;
            self.arena.extend_from_slice(batch.frame(packet));
            self.packets.push(Packet { offset, ..*packet });
        }
    }

    fn batch(&self) -> PacketBatch<'_> {
        PacketBatch { arena: &self.arena, packets: &self.packets }
    }
}

/// A worker's two ends towards the tracker: results there, emptied ones back.
struct Answers {
    results: Receiver<Messages>,
    spare: Sender<Messages>,
}

pub(super) fn run(
    reader: &mut Reader<'_>,
    stages: Stages,
    listener: &mut (dyn Listener + Send),
    watch: &mut dyn FnMut(&Progress) -> Continue,
    errors: &mut Vec<SourceError>,
) -> Stages {
    let Stages { mut intake, workers, order } = stages;
    let lanes = workers.len();
    std::thread::scope(|scope| {
        let (recycle, recycled) = bounded::<Shared>(2 * QUEUE);
        let mut inputs: Vec<Sender<Arc<Shared>>> = Vec::with_capacity(lanes + 1);
        let mut answers = Vec::with_capacity(lanes);
        let mut handles = Vec::with_capacity(lanes);
        for (lane, worker) in workers.into_iter().enumerate() {
            let (input, batches) = bounded(QUEUE);
            let (result, results) = bounded(QUEUE);
            let (spare, spares) = bounded(QUEUE);
            inputs.push(input);
            answers.push(Answers { results, spare });
            handles.push(scope.spawn(move || work(worker, lane, &batches, &result, &spares)));
        }
        let (input, batches) = bounded(QUEUE);
        inputs.push(input);
        let tracker = scope.spawn(move || track(order, &batches, &answers, &recycle, listener));

        let send = |shared: Shared| {
            let shared = Arc::new(shared);
            inputs.iter().all(|input| input.send(Arc::clone(&shared)).is_ok())
        };
        loop {
            let mut shared = recycled
                .try_recv()
                .unwrap_or_else(|_| Shared { staged: Staged::new(lanes), ..Shared::default() });
            match reader.next() {
                Ok(Some(batch)) => {
                    shared.fill(batch);
                    let Shared { arena, packets, staged } = &mut shared;
                    intake.take(PacketBatch { arena, packets }, staged);
                    // A stage that is gone has panicked; joining it below says so.
                    if !send(shared) {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => errors.push(error),
            }
            if watch(&reader.source.progress()) == Continue::No {
                break;
            }
        }
        let mut last = Shared { staged: Staged::new(lanes), ..Shared::default() };
        intake.finish(&mut last.staged);
        send(last);
        drop(inputs);
        let workers = handles.into_iter().map(|handle| rethrow(handle.join())).collect();
        Stages { intake, workers, order: rethrow(tracker.join()) }
    })
}

/// One stream worker: batches in, messages out, in the order of the batches.
fn work(
    mut worker: StreamWorker,
    lane: usize,
    batches: &Receiver<Arc<Shared>>,
    results: &Sender<Messages>,
    spares: &Receiver<Messages>,
) -> StreamWorker {
    for shared in batches {
        let mut messages = spares.try_recv().unwrap_or_default();
        let work = shared.staged.lanes.get(lane).map(Vec::as_slice).unwrap_or_default();
        worker.process(work, &shared.staged.view(shared.batch()), &mut messages);
        drop(shared);
        if results.send(messages).is_err() {
            break;
        }
    }
    worker
}

/// The tracker: one batch and one answer of every worker at a time.
fn track(
    mut order: Order,
    batches: &Receiver<Arc<Shared>>,
    answers: &[Answers],
    recycle: &Sender<Shared>,
    listener: &mut dyn Listener,
) -> Order {
    let mut outputs: Vec<Messages> = Vec::with_capacity(answers.len());
    for shared in batches {
        outputs.extend(answers.iter().map_while(|answer| answer.results.recv().ok()));
        if outputs.len() < answers.len() {
            break;
        }
        order.apply(&shared.staged, &outputs, &shared.staged.view(shared.batch()), listener);
        for (messages, answer) in outputs.drain(..).zip(answers) {
            let _ = answer.spare.try_send(messages);
        }
        // The workers are through with it, so this is its last owner and its memory can be used again.
        if let Some(shared) = Arc::into_inner(shared) {
            let _ = recycle.try_send(shared);
        }
    }
    order
}

fn rethrow<T>(joined: std::thread::Result<T>) -> T {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
