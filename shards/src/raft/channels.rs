//! openraft's channels and lock, on `tokio::sync`.
//!
//! tokio is used with its feature `sync` alone: these types then wake in a fixed order and need no runtime.

use std::{fmt, future::Future, ops::Deref};

use openraft_rt::{
    Mpsc, MpscReceiver, MpscSender, MpscWeakSender, OptionalSend, OptionalSync, SendError,
    TryRecvError, mutex, oneshot, watch,
};
use tokio::sync;

/// Bounded queues of many senders and one receiver.
#[derive(Debug)]
pub struct Queues;

/// Hands values over once.
#[derive(Debug)]
pub struct Handovers;

/// One last value that many look at.
#[derive(Debug)]
pub struct Watches;

/// The sending end of a queue.
#[derive(Debug)]
pub struct QueueSender<T>(sync::mpsc::Sender<T>);

/// The receiving end of a queue.
#[derive(Debug)]
pub struct QueueReceiver<T>(sync::mpsc::Receiver<T>);

/// A sending end that doesn't keep its queue open.
pub struct QueueWeakSender<T>(sync::mpsc::WeakSender<T>);

/// The sending end of a handover.
#[derive(Debug)]
pub struct HandoverSender<T>(sync::oneshot::Sender<T>);

/// Where a watched value is written.
#[derive(Debug)]
pub struct WatchSource<T>(sync::watch::Sender<T>);

/// Where a watched value is looked at.
#[derive(Debug)]
pub struct WatchView<T>(sync::watch::Receiver<T>);

/// A watched value, borrowed.
#[derive(Debug)]
pub struct WatchRef<'a, T>(sync::watch::Ref<'a, T>);

/// A lock that is waited for.
#[derive(Debug)]
pub struct Lock<T>(sync::Mutex<T>);

impl Mpsc for Queues {
    type Sender<T: OptionalSend> = QueueSender<T>;
    type Receiver<T: OptionalSend> = QueueReceiver<T>;
    type WeakSender<T: OptionalSend> = QueueWeakSender<T>;

    fn channel<T: OptionalSend>(buffer: usize) -> (QueueSender<T>, QueueReceiver<T>) {
        let (sender, receiver) = sync::mpsc::channel(buffer);
        (QueueSender(sender), QueueReceiver(receiver))
    }
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for QueueWeakSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for QueueWeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueWeakSender")
    }
}

impl<T: OptionalSend> MpscSender<Queues, T> for QueueSender<T> {
    async fn send(&self, msg: T) -> Result<(), SendError<T>> {
        self.0.send(msg).await.map_err(|error| SendError(error.0))
    }

    fn downgrade(&self) -> QueueWeakSender<T> {
        QueueWeakSender(self.0.downgrade())
    }
}

impl<T: OptionalSend> MpscReceiver<T> for QueueReceiver<T> {
    fn recv(&mut self) -> impl Future<Output = Option<T>> {
        self.0.recv()
    }

    fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.0.try_recv().map_err(|error| match error {
            sync::mpsc::error::TryRecvError::Empty => TryRecvError::Empty,
            sync::mpsc::error::TryRecvError::Disconnected => TryRecvError::Disconnected,
        })
    }
}

impl<T: OptionalSend> MpscWeakSender<Queues, T> for QueueWeakSender<T> {
    fn upgrade(&self) -> Option<QueueSender<T>> {
        self.0.upgrade().map(QueueSender)
    }
}

impl oneshot::Oneshot for Handovers {
    type Sender<T: OptionalSend> = HandoverSender<T>;
    type Receiver<T: OptionalSend> = sync::oneshot::Receiver<T>;
    type ReceiverError = sync::oneshot::error::RecvError;

    fn channel<T: OptionalSend>() -> (HandoverSender<T>, sync::oneshot::Receiver<T>) {
        let (sender, receiver) = sync::oneshot::channel();
        (HandoverSender(sender), receiver)
    }
}

impl<T: OptionalSend> oneshot::OneshotSender<T> for HandoverSender<T> {
    fn send(self, t: T) -> Result<(), T> {
        self.0.send(t)
    }
}

impl watch::Watch for Watches {
    type Sender<T: OptionalSend + OptionalSync> = WatchSource<T>;
    type Receiver<T: OptionalSend + OptionalSync> = WatchView<T>;
    type Ref<'a, T: OptionalSend + 'a> = WatchRef<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (WatchSource<T>, WatchView<T>) {
        let (source, view) = sync::watch::channel(init);
        (WatchSource(source), WatchView(view))
    }
}

impl<T> Clone for WatchSource<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for WatchView<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: OptionalSend + OptionalSync> watch::WatchSender<Watches, T> for WatchSource<T> {
    fn send(&self, value: T) -> Result<(), watch::SendError<T>> {
        self.0.send(value).map_err(|error| watch::SendError(error.0))
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        self.0.send_if_modified(modify)
    }

    fn borrow_watched(&self) -> WatchRef<'_, T> {
        WatchRef(self.0.borrow())
    }

    fn subscribe(&self) -> WatchView<T> {
        WatchView(self.0.subscribe())
    }
}

impl<T: OptionalSend + OptionalSync> watch::WatchReceiver<Watches, T> for WatchView<T> {
    async fn changed(&mut self) -> Result<(), watch::RecvError> {
        // The source's error says no more than that the source is gone.
        self.0.changed().await.map_err(|_gone| watch::RecvError(()))
    }

    fn borrow_watched(&self) -> WatchRef<'_, T> {
        WatchRef(self.0.borrow())
    }

    fn borrow_and_update(&mut self) -> WatchRef<'_, T> {
        WatchRef(self.0.borrow_and_update())
    }
}

impl<T> Deref for WatchRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: OptionalSend + 'static> mutex::Mutex<T> for Lock<T> {
    type Guard<'a> = sync::MutexGuard<'a, T>;

    fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    fn lock(&self) -> impl Future<Output = Self::Guard<'_>> + OptionalSend {
        self.0.lock()
    }
}
