//! Space of bodies that nothing names any more: which of them may go, and in which steps.
//!
//! A body is condemned in the apply step that ends its last name, and its chunks are removed by later commands. A
//! reader may still be on it. So a reader takes a *ticket* before it looks an object up, and turns it into a *pin* of the
//! bodies it found. The reclaimer takes a *fence* after it has seen a body condemned: who looks an object up after that
//! can't find the body, and when every ticket from before the fence is gone, whoever found it holds a pin.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use anode_disk::{Directory, Error};
use tracing::debug;

use crate::{
    command::{Command, ReclaimStep},
    limits::RECLAIM_CHUNKS_MAX,
    object::BodyId,
    state::{Condemned, CondemnedId, State},
};

/// Who reads a group's bodies.
#[derive(Debug, Default)]
pub struct Pins {
    pinned: RefCell<BTreeMap<BodyId, usize>>,
    tickets: RefCell<BTreeSet<u64>>,
    next_ticket: Cell<u64>,
}

/// A look-up in progress.
#[derive(Debug)]
pub struct Ticket {
    pins: Rc<Pins>,
    number: u64,
}

/// A hold on bodies: their chunks stay readable while it lives.
#[derive(Debug)]
pub struct Pin {
    pins: Rc<Pins>,
    bodies: Vec<BodyId>,
}

/// A moment, for [`Pins::has_passed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence(u64);

impl Pins {
    /// To be called before an object is looked up.
    pub fn begin(self: &Rc<Self>) -> Ticket {
        let number = self.next_ticket.get();
        self.next_ticket.set(number + 1);
        self.tickets.borrow_mut().insert(number);
        Ticket { pins: Rc::clone(self), number }
    }

    /// Whether anyone reads a body.
    pub fn is_pinned(&self, body: BodyId) -> bool {
        self.pinned.borrow().contains_key(&body)
    }

    /// How many bodies are read.
    pub fn count(&self) -> usize {
        self.pinned.borrow().len()
    }

    /// Now.
    pub fn fence(&self) -> Fence {
        Fence(self.next_ticket.get())
    }

    /// Whether every look-up that began before the fence is done.
    pub fn has_passed(&self, fence: Fence) -> bool {
        self.tickets.borrow().first().is_none_or(|oldest| *oldest >= fence.0)
    }
}

impl Ticket {
    /// Ends the look-up with a hold on what it found.
    pub fn pin(self, bodies: impl Iterator<Item = BodyId>) -> Pin {
        let pin = Pin { pins: Rc::clone(&self.pins), bodies: bodies.collect() };
        let mut pinned = self.pins.pinned.borrow_mut();
        for body in &pin.bodies {
            *pinned.entry(*body).or_insert(0) += 1;
        }
        drop(pinned);
        pin
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pins.tickets.borrow_mut().remove(&self.number);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pinned = self.pins.pinned.borrow_mut();
        for body in &self.bodies {
            if let Some(count) = pinned.get_mut(body) {
                *count -= 1;
                if *count == 0 {
                    pinned.remove(body);
                }
            }
        }
    }
}

/// Finds the commands that free a group's condemned bodies.
///
/// The caller, where it leads the group, asks for the next command every now and then and proposes it, until there is
/// none.
#[derive(Debug, Default)]
pub struct Reclaimer {
    inner: RefCell<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// What the last look found, from the first body that isn't handed out.
    found: Vec<(CondemnedId, Condemned)>,
    fence: Option<Fence>,
    /// Where the next look begins.
    after: Option<CondemnedId>,
}

impl Reclaimer {
    /// The next command; none where nothing can go now. Ask again later.
    pub async fn next<D: Directory>(&self, state: &State<D>) -> Result<Option<Command>, Error> {
        let waits = self.inner.borrow().fence.is_some();
        if !waits {
            let after = self.inner.borrow().after;
            let (found, next) = state.condemned(after).await?;
            if !found.is_empty() {
                let pending = state.pending_delete().await?;
                debug!(
                    group = state.group(),
                    bodies = pending.bodies,
                    bytes = pending.bytes,
                    oldest_ms = pending.oldest_ms,
                    "what waits to be reclaimed"
                );
            }
            let fence = (!found.is_empty()).then(|| state.pins().fence());
            *self.inner.borrow_mut() = Progress { found, fence, after: next };
        }
        let mut inner = self.inner.borrow_mut();
        match inner.fence {
            Some(fence) if state.pins().has_passed(fence) => {}
            Some(_) | None => return Ok(None),
        }
        inner.fence = None;
        let found = std::mem::take(&mut inner.found);
        let free = found.into_iter().filter(|(id, _)| !state.pins().is_pinned(id.body));
        let steps = plan(free);
        // A body that isn't done yet, or was pinned, is found again by a look from the beginning.
        Ok((!steps.is_empty()).then_some(Command::Reclaim(steps)))
    }
}

/// Steps for these bodies, within the bounds of one command.
fn plan(bodies: impl Iterator<Item = (CondemnedId, Condemned)>) -> Vec<ReclaimStep> {
    let mut left = RECLAIM_CHUNKS_MAX;
    let mut steps = Vec::new();
    for (id, condemned) in bodies {
        if left == 0 {
            break;
        }
        let start = condemned.removed;
        let end = condemned.chunks.min(start.saturating_add(left));
        left -= end.saturating_sub(start);
        steps.push(ReclaimStep { body: id.body, start, end, since_ms: id.since_ms });
    }
    steps
}

#[cfg(test)]
mod tests;
