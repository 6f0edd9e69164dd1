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

#[cfg(test)]
mod tests {
    use anode_disk::testing::SimDisk;

    use super::*;
    use crate::{
        host::doze,
        sim::{executor::World, host::SimHost, network::Network},
    };

    // Rests of compaction keep it to its rate: one that ends on the grid makes it a half or a third of that.
    #[test]
    fn upkeep_rests_as_long_as_it_should_and_no_longer() {
        let world = World::new(1);
        world.run(async {
            let network = Network::new(&world);
            let hosts = SimHost::node(&world, &network, &SimDisk::new(1), 0, 1);
            let host = hosts.first().unwrap().clone();
            let upkeep = Upkeep { host: host.clone() };
            for pause in [15_625, 60_000, 150_000].map(Duration::from_micros) {
                let began = host.now().0;
                upkeep.rest(pause).await;
                assert_eq!(u128::from(host.now().0 - began), pause.as_nanos());
            }
            let hundred = Duration::from_millis(100);
            doze(&host, hundred).await;
            assert_eq!(u128::from(host.now().0) % hundred.as_nanos(), 0);
        });
    }
}
