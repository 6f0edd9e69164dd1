//! Who holds what and how they agree: the ring, placement groups as openraft groups, commands and state.
//!
//! Nothing here spawns, sleeps or reads a clock, but openraft, which is given [`raft::runtime`] for that.

#![forbid(unsafe_code)]

pub mod acl;
mod cbor;
pub mod command;
pub mod encryption;
pub mod event;
pub mod group;
pub mod iam;
pub mod keeper;
pub mod limits;
pub mod lock;
pub mod object;
pub mod quota;
pub mod raft;
pub mod reclaim;
pub mod ring;
pub mod staging;
pub mod state;
pub mod version;
