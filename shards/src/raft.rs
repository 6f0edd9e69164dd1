//! What openraft needs from Anode: types, a runtime, a log on the WAL, a state on the index, a network.
//!
//! A placement group is one openraft instance (see [`crate::group`]). Its log is a slice of the shard's one WAL, its
//! state is a key range of the shard's one index; both are shared by all groups of the shard. Everything durable that
//! openraft relies on passes through [`log_store`] and [`state_store`], so the promises are kept there:
//!
//! - a vote is durable before it is returned, an entry before its completion fires (H1, H2);
//! - last-applied and membership are written in the same atomic batch as the effects they belong to (H8);
//! - the log is purged only up to a position that a finished index flush contains (H9).

pub mod types;

pub mod log_store;
pub mod state_store;

pub mod codec;
pub mod network;
pub mod replay;
pub mod salvage;
pub mod snapshot;

pub mod channels;
pub mod runtime;

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
