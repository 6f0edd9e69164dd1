//! The directory of a class runs full while the volume has room: new bytes are refused there, and deletes bring its space back
//! though nothing else asks for a flush.

use bytes::Bytes;
use futures::future::{Either, select};

use crate::{
    error::Error,
    index::{Batch, Entry, Payload},
    segment::{Class, Places},
    storage::{MEMORY_BYTES_MIN, Storage, StorageOptions},
    testing::{SimDirectory, SimDisk, block_on},
};

const PAYLOAD_BYTES: usize = 100_000;
const TURNS_MAX: u32 = 200_000;

type Sim = std::rc::Rc<Storage<SimDirectory>>;

fn class() -> Class {
    Class::new(4).unwrap()
}

fn key(number: u32) -> Bytes {
    Bytes::from(format!("key-{number:08}"))
}

async fn put(storage: &Sim, number: u32) -> Result<(), Error> {
    let segments = storage.index.segments();
    let items = vec![(key(number), Bytes::from(number.to_le_bytes().repeat(PAYLOAD_BYTES / 4)))];
    let extent = segments.append_to(class(), items).await?[0];
    segments.sync_class(class()).await?;
    let mut batch = Batch::default();
    let value = Bytes::copy_from_slice(&number.to_le_bytes());
    batch.put(key(number), Entry { value, payload: Payload::Extent(extent) });
    storage.index.write(batch);
    Ok(())
}

/// As the keeper and the owner do.
async fn turn(storage: &Sim) {
    if storage.index.wants_flush() {
        storage.index.flush().await.unwrap();
    }
    storage.tend_space().await.unwrap();
    crate::index::give_way().await;
}

#[test]
fn deletes_bring_the_space_of_a_full_class_back() {
    let (own, other) = (SimDisk::new(1), SimDisk::new(2));
    other.set_capacity(Some(24 << 20));
    block_on(Box::pin(async {
        let options = StorageOptions {
            memory_bytes: MEMORY_BYTES_MIN,
            wal_segment_bytes: 64 << 10,
            segment_bytes: 2 << 20,
            chunk_cache_bytes: 0,
            wal_identity: 7,
        };
        let places = Places { own: own.root(), classes: vec![(class(), other.root())] };
        let storage: Sim = Storage::open(places, options).await.unwrap();
        let work = async {
            let mut count = 0;
            let refused = loop {
                match put(&storage, count).await {
                    Ok(()) => count += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(refused, Error::ClassFull { .. }), "{refused:?}");
            assert!(count > 150 && !storage.is_short_of_space(), "{count}");
            storage.index.flush().await.unwrap();
            for number in (0..count).filter(|number| number % 10 > 0) {
                let mut batch = Batch::default();
                batch.delete(key(number));
                batch.released_bytes = PAYLOAD_BYTES as u64;
                storage.index.write(batch);
            }
            let mut turns = 0;
            while storage.index.segments().has_full_class() {
                turn(&storage).await;
                turns += 1;
                assert!(turns < TURNS_MAX, "no space comes back: {storage:?}");
            }
            for number in count..count + count / 2 {
                put(&storage, number).await.unwrap();
                turn(&storage).await;
            }
            for number in (0..count).step_by(10).chain(count..count + count / 2) {
                let entry = storage.index.get(&key(number)).await.unwrap().unwrap();
                let length = u32::try_from(PAYLOAD_BYTES).unwrap();
                let bytes = storage.index.payload(&key(number), &entry, 0..length).await.unwrap();
                assert_eq!(bytes[..4], number.to_le_bytes());
            }
        };
        let upkeep = async {
            let (logged, kept) = futures::join!(storage.wal.run(), storage.index.maintain());
            unreachable!("upkeep ended: {logged:?}, {kept:?}");
        };
        match select(Box::pin(work), Box::pin(upkeep)).await {
            Either::Left(((), _)) => {}
            Either::Right(((), _)) => unreachable!("it panics"),
        }
    }));
}
