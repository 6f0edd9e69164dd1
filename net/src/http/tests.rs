//! What HTTP/1.1 is accepted, what is refused, and that nothing in between crashes or depends on how bytes arrive.

mod bodies;
mod heads;
mod mutations;
mod refusals;
mod responses;
