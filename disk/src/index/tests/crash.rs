//! After a crash at any point the state is that of the last flush, or of the one in flight: whole.

use super::{Model, beside_upkeep, check_live, contents, open, page_of, rig, write};
use crate::{
    error::Error,
    index::Index,
    testing::{Random, SimDirectory, SimDisk, block_on},
};

/// What may be there after a crash: what the last finished flush saw, and what one in flight saw.
struct Durable {
    finished: Model,
    in_flight: Model,
}

#[test]
fn a_crash_keeps_the_last_flush_or_the_one_in_flight() {
    for seed in 0..40 {
        block_on(async {
            let (disk, mut random) = rig(seed);
            let mut durable = Durable { finished: Model::new(), in_flight: Model::new() };
            for crash in 0..4 {
                let span = 20 + random.below(if crash == 3 { 60 } else { 900 });
                disk.crash_at(disk.io_count() + span);
                life(&disk, &mut random, &mut durable, seed).await;
                disk.crash();
            }
            disk.heal();
            let index = open(disk.reopen()).await.unwrap();
            check(&index, &mut durable, seed).await.unwrap();
            index.flush().await.unwrap();
            check_live(&index).await;
            let figures = index.figures();
            let tables = disk.files().iter().filter(|(path, _)| path.contains("table-")).count();
            let known: usize = figures.level_tables.iter().sum();
            assert_eq!(tables, known, "seed {seed}: a table that nothing names was left");
            assert_eq!(index.segments().figures().pinned_bytes, 0, "seed {seed}");
        });
    }
}

/// Opens, checks and works until the planned crash.
async fn life(disk: &SimDisk, random: &mut Random, durable: &mut Durable, seed: u64) {
    let index = match open(disk.reopen()).await {
        Ok(index) => index,
        Err(error) => {
            assert_eq!(error, Error::Stopped, "seed {seed}");
            return;
        }
    };
    let work = Box::pin(work(&index, random, durable, seed));
    let (worked, upkeep) = beside_upkeep(&index, work).await;
    for error in [worked, upkeep].into_iter().filter_map(Result::err) {
        assert_eq!(error, Error::Stopped, "seed {seed}");
    }
}

/// Checks what a restart found. From then on that, and nothing older, is durable.
async fn check(
    index: &Index<SimDirectory>,
    durable: &mut Durable,
    seed: u64,
) -> Result<Model, Error> {
    let found = contents(index, page_of(64)).await?;
    let expected = found == durable.finished || found == durable.in_flight;
    assert!(expected, "seed {seed}: neither the last flush nor the one in flight");
    durable.finished = found.clone();
    durable.in_flight = found.clone();
    Ok(found)
}

async fn work(
    index: &Index<SimDirectory>,
    random: &mut Random,
    durable: &mut Durable,
    seed: u64,
) -> Result<(), Error> {
    let mut model = check(index, durable, seed).await?;
    for _ in 0..150 {
        let changes = 1 + random.below(30);
        write(index, &mut model, random, changes).await?;
        if random.below(4) == 0 || index.wants_flush() {
            durable.in_flight = model.clone();
            index.flush().await?;
            durable.finished = model.clone();
        }
    }
    Ok(())
}
