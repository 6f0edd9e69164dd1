//! The simulated twin of [`Stream`](crate::Stream): two ends in memory, for tests and for the simulation.
//!
//! Covered: order, bounded buffers with back-pressure, half-close, a peer that goes away, an aborted connection, reads
//! that return less than was asked for. Not covered: time, loss and partition; the simulated network adds those by
//! holding a [`pipe::Cord`] and by pumping bytes between two pipes.

pub mod form;
pub mod pipe;

pub use pipe::{Cord, PipeOptions, SimStream, pipe, pipe_with};
