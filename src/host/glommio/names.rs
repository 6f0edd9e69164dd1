//! Look-ups of names: they block, for as long as a name server likes, so they have a thread of their own beside that of the
//! files.

use std::{
    cell::RefCell,
    net::{SocketAddr, ToSocketAddrs as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anode_net::stream::Error;

use super::aside::Aside;
use crate::limits;

/// The thread, once something was looked up, and how many look-ups it has before it.
#[derive(Default)]
pub(super) struct Names {
    thread: RefCell<Option<Aside>>,
    waiting_count: Arc<AtomicUsize>,
}

impl Names {
    pub(super) async fn resolve(
        &self,
        shard: usize,
        name: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, Error> {
        // Who asked may have given up long before the name server does.
        if self.waiting_count.load(Ordering::Relaxed) >= limits::OUTBOUND_LOOKUP_COUNT_MAX {
            return Err(Error::Closed("too many look-ups are under way".to_owned()));
        }
        let thread = self.thread(shard)?;
        let (waiting_count, name) = (Arc::clone(&self.waiting_count), name.to_owned());
        waiting_count.fetch_add(1, Ordering::Relaxed);
        let looked_up = thread.call(move || {
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
            waiting_count.fetch_sub(1, Ordering::Relaxed);
            found
        });
        looked_up.await.map_err(|error| Error::Closed(error.to_string()))
    }

    fn thread(&self, shard: usize) -> Result<Aside, Error> {
        if let Some(thread) = self.thread.borrow().as_ref() {
            return Ok(thread.clone());
        }
        let started = Aside::start(format!("names-{shard}"));
        let thread = started.map_err(|error| Error::Closed(error.to_string()))?;
        Ok(self.thread.borrow_mut().insert(thread).clone())
    }
}
