//! Upkeep of a shard's index: the time that it takes off, and what people are told of it.

use std::time::Duration;

use anode_disk::{Error, index::Surroundings};
use futures::future::LocalBoxFuture;

use crate::host::Host;

/// Where the upkeep of a shard's index runs.
#[derive(Debug)]
pub struct Upkeep<H: Host> {
    /// Its clock.
    pub host: H,
}

impl<H: Host> Surroundings for Upkeep<H> {
    fn rest(&self, pause: Duration) -> LocalBoxFuture<'_, ()> {
        Box::pin(self.host.sleep(pause))
    }

    fn damaged(&self, error: &Error) {
        if matches!(error, Error::Corrupt { location, .. } if location.contains("/segment-")) {
            tracing::error!(
                shard = self.host.shard(),
                %error,
                "a data segment is missing: what has bytes in it is refused, until it is written again or deleted",
            );
            return;
        }
        tracing::error!(
            shard = self.host.shard(),
            %error,
            "a table of the index is damaged: what only it has is refused, it is left as it is, and what lies over it \
             piles up",
        );
    }
}
