//! The stages over threads: the source and its intake here, one thread per stream worker, one for the tracker.
//!
//! Batch *k* becomes one lane for every worker, maybe empty, and one direct list for the tracker; each worker
//! answers *k* once. The tracker takes one answer from every worker and merges them by sequence number, so the
//! result is that of the inline run. Queues are bounded and a file waits: nothing is dropped.

use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::board::SourceTold;
use super::order::Order;
use super::run::{Continue, Reader, Stages};
use super::work::Staged;
use super::worker::StreamWorker;
use crate::call::Listener;
use crate::capture::{Batch, PacketBatch, Progress, SourceError};
use crate::sip::Messages;

/// Batches that may wait between two stages.
pub(super) const QUEUE: usize = 8;

/// A batch with its bytes, shared by every stage.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) batch: Batch,
    pub(super) staged: Staged,
}

impl Shared {
    pub(super) fn new(lanes: usize) -> Self {
        Self { batch: Batch::default(), staged: Staged::new(lanes) }
    }

    fn fill(&mut self, batch: PacketBatch<'_>) {
        self.batch.clear();
        for packet in batch.packets {
            self.batch.push(*packet, batch.frame(packet));
        }
    }
}

/// A worker's two ends towards the tracker: results there, emptied ones back.
struct Answers {
    results: Receiver<Messages>,
    spare: Sender<Messages>,
}

/// The stages behind the intake, each on its thread.
pub(super) struct Running<'scope> {
    inputs: Vec<Sender<Arc<Shared>>>,
    workers: Vec<ScopedJoinHandle<'scope, StreamWorker>>,
    tracker: ScopedJoinHandle<'scope, (Vec<StreamWorker>, Order)>,
}

impl<'scope> Running<'scope> {
    /// One thread for each worker and one for the tracker. Batches that are through go to `recycle`.
    pub(super) fn pool(
        scope: &'scope Scope<'scope, '_>,
        workers: Vec<StreamWorker>,
        order: Order,
        recycle: Sender<Shared>,
        listener: &'scope mut (dyn Listener + Send),
    ) -> Self {
        let lanes = workers.len();
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
        let tracker = move || (Vec::new(), track(order, &batches, &answers, &recycle, listener));
        Self { inputs, workers: handles, tracker: scope.spawn(tracker) }
    }

    /// One thread for the workers and the tracker together.
    pub(super) fn pair(
        scope: &'scope Scope<'scope, '_>,
        workers: Vec<StreamWorker>,
        order: Order,
        recycle: Sender<Shared>,
        listener: &'scope mut (dyn Listener + Send),
    ) -> Self {
        let (input, batches) = bounded(QUEUE);
        let tracker = move || follow(workers, order, &batches, &recycle, listener);
        Self { inputs: vec![input], workers: Vec::new(), tracker: scope.spawn(tracker) }
    }

    /// Gives every stage the next batch; false when one is gone. The tracker, last, gets the sender's own reference: it
    /// may be through before this returns, and has to be the batch's only owner by then to use its memory again.
    pub(super) fn send(&self, shared: Shared) -> bool {
        let Some((tracker, workers)) = self.inputs.split_last() else { return false };
        let shared = Arc::new(shared);
        workers.iter().all(|input| input.send(Arc::clone(&shared)).is_ok()) && tracker.send(shared).is_ok()
    }

    /// Waits until all that was sent is done. A panic of a stage goes on here.
    pub(super) fn join(self) -> (Vec<StreamWorker>, Order) {
        drop(self.inputs);
        let mut workers: Vec<StreamWorker> =
            self.workers.into_iter().map(|handle| rethrow(handle.join())).collect();
        let (more, order) = rethrow(self.tracker.join());
        workers.extend(more);
        (workers, order)
    }
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
        let running = Running::pool(scope, workers, order, recycle, listener);
        loop {
            let mut shared = recycled.try_recv().unwrap_or_else(|_| Shared::new(lanes));
            match reader.next() {
                Ok(Some(batch)) => {
                    shared.fill(batch);
                    let Shared { batch, staged } = &mut shared;
                    intake.take(batch.view(), staged);
                    intake.sent();
                    // A stage that is gone has panicked; joining it below says so.
                    if !running.send(shared) {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => errors.push(error),
            }
            intake.tell(|| SourceTold { files: reader.source.counters(), ..SourceTold::default() });
            if watch(&reader.source.progress()) == Continue::No {
                break;
            }
        }
        let mut last = Shared::new(lanes);
        intake.finish(&mut last.staged);
        intake.tell(|| SourceTold { files: reader.source.counters(), ..SourceTold::default() });
        intake.sent();
        running.send(last);
        let (workers, order) = running.join();
        Stages { intake, workers, order }
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
        worker.process(work, &shared.staged.view(shared.batch.view()), &mut messages);
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
        order.apply(&shared.staged, &outputs, &shared.staged.view(shared.batch.view()), listener);
        for (messages, answer) in outputs.drain(..).zip(answers) {
            let _ = answer.spare.try_send(messages);
        }
        // The workers are through with it, so this is its last owner.
        give_back(shared, recycle);
    }
    order
}

/// The workers and the tracker on one thread.
fn follow(
    mut workers: Vec<StreamWorker>,
    mut order: Order,
    batches: &Receiver<Arc<Shared>>,
    recycle: &Sender<Shared>,
    listener: &mut dyn Listener,
) -> (Vec<StreamWorker>, Order) {
    let mut outputs: Vec<Messages> = workers.iter().map(|_| Messages::default()).collect();
    for shared in batches {
        let view = shared.staged.view(shared.batch.view());
        for ((worker, lane), output) in workers.iter_mut().zip(&shared.staged.lanes).zip(&mut outputs) {
            worker.process(lane, &view, output);
        }
        order.apply(&shared.staged, &outputs, &view, listener);
        give_back(shared, recycle);
    }
    (workers, order)
}

/// Makes a batch's memory free to be used again. A live run has only so many batches and stands still without them: if
/// anybody still held this one, another would take its place.
fn give_back(shared: Arc<Shared>, recycle: &Sender<Shared>) {
    let lanes = shared.staged.lanes.len();
    let _ = recycle.try_send(Arc::into_inner(shared).unwrap_or_else(|| Shared::new(lanes)));
}

fn rethrow<T>(joined: std::thread::Result<T>) -> T {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_somebody_holds_is_replaced() {
        let (recycle, recycled) = bounded(2);
        let shared = Arc::new(Shared::new(3));
        let held = Arc::clone(&shared);
        give_back(shared, &recycle);
        give_back(held, &recycle);
        let lanes: Vec<usize> = recycled.try_iter().map(|shared| shared.staged.lanes.len()).collect();
        assert_eq!(lanes, [3, 3]);
    }
}
