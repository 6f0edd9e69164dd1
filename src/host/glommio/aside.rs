//! A thread beside the shard, for calls that block and have no asynchronous form.
//!
//! glommio has one, too, but ends the process where its executor ends before an answer.

use std::{
    fmt, io,
    sync::mpsc::{Sender, channel},
};

use futures::channel::oneshot;

type Call = Box<dyn FnOnce() + Send>;

/// The thread. It ends with the last clone of its sender.
#[derive(Clone)]
pub(super) struct Aside(Sender<Call>);

impl Aside {
    /// Starts it.
    pub(super) fn start(name: String) -> io::Result<Self> {
        let (sender, receiver) = channel::<Call>();
        let thread = std::thread::Builder::new().name(name);
        thread.spawn(move || receiver.into_iter().for_each(|call| call()))?;
        Ok(Self(sender))
    }

    /// Makes a call there and waits for what it gives. Calls are made in the order in which they were asked for.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (sender, receiver) = oneshot::channel();
        // Who asked may be gone when the answer is there.
        let call = Box::new(move || drop(sender.send(call())));
        let gone = || io::Error::other("the thread for blocking calls has ended");
        self.0.send(call).map_err(|_unsent| gone())?;
        receiver.await.unwrap_or_else(|_dropped| Err(gone()))
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Aside")
    }
}
