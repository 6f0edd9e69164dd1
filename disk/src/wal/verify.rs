//! Reads the segments of the WAL again: whether a restart would find every batch that is durable.
//!
//! A segment in use is walked as recovery does it. Its batches must follow those of the segment before, and the one
//! being filled must have all that was durable as the walk began.

use super::{
    Wal,
    segments::name,
    state::{Phase, State},
    walk::walk,
};
use crate::{
    device::{Device, Directory},
    error::Error,
    scrub::finding::{Finding, Hit, Verified},
};

/// Where the walk over the segments is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WalCursor {
    /// The segment that was read last.
    generation: Option<u32>,
    /// Its last batch, and where the next one should be, where both are known.
    end: Option<(u64, u64)>,
}

impl<D: Directory> Wal<D> {
    /// Reads the next segment; false where there is none.
    pub(crate) async fn verify_segment(
        &self,
        cursor: &mut WalCursor,
        verified: &mut Verified,
    ) -> Result<bool, Error> {
        let (generation, device, expected) = {
            let state = self.0.state.borrow();
            if matches!(state.phase, Phase::Failed(_)) {
                return Err(Error::Stopped);
            }
            let Some(generation) = state.segments.above(cursor.generation).next() else {
                return Ok(false);
            };
            // Segments are given up oldest first: where the one before is gone, those that followed it may be, too.
            if cursor.generation.is_some_and(|before| state.segments.device(before).is_none()) {
                cursor.end = None;
            }
            let device = state.segments.device(generation).expect("it is in use");
            (generation, device, expected(&state, generation))
        };
        let path = self.0.directory.path();
        let place = (generation, self.0.state.borrow().options.identity);
        let mut first = None;
        let walked = walk(&*device, place, &path, |whole| {
            first.get_or_insert(whole.header.sequence);
            Ok(())
        })
        .await;
        verified.bytes += device.size();
        let before =
            std::mem::replace(cursor, WalCursor { generation: Some(generation), end: None });
        // Given up meanwhile, and perhaps filled again under another name.
        if self.0.state.borrow().segments.device(generation).is_none() {
            return Ok(true);
        }
        let Some(walked) = verified.take(0, || Hit::Structure, walked)? else { return Ok(true) };
        let read = first.zip(walked.last.map(|last| last.sequence));
        // The one being filled goes on: what follows there isn't known to the next step.
        let is_full = matches!(expected, Expected::Something);
        cursor.end = read.filter(|_| is_full).map(|(_, last)| (last, walked.end));
        let lost = match (read, expected) {
            (None, Expected::Nothing) => None,
            (None, Expected::Something | Expected::UpTo(_)) => Some((generation, 0)),
            (Some((first, last)), expected) => match before.generation.zip(before.end) {
                Some((segment, (sequence, end))) if first != sequence + 1 => Some((segment, end)),
                _ if matches!(expected, Expected::UpTo(durable) if last < durable) => {
                    Some((generation, walked.end))
                }
                _ => None,
            },
        };
        verified.findings.extend(lost.map(|(generation, offset)| Finding {
            location: format!("{path}/{} at {offset}", name(generation)),
            finding: "a batch that was durable is not valid there".to_owned(),
            hit: Hit::Structure,
        }));
        Ok(true)
    }
}

/// What a segment must hold at least.
enum Expected {
    /// It is about to be filled.
    Nothing,
    /// At least a batch: a segment is taken into use for one.
    Something,
    /// The batches up to this one, the last that is durable.
    UpTo(u64),
}

fn expected<F: Device>(state: &State<F>, generation: u32) -> Expected {
    let fresh = state.segments.current().filter(|(_, offset)| *offset == 0);
    let fresh = fresh.map(|(generation, _)| generation);
    let newest = state.segments.above(None).filter(|live| Some(*live) != fresh).last();
    match generation {
        _ if fresh == Some(generation) => Expected::Nothing,
        _ if newest == Some(generation) => Expected::UpTo(state.durable),
        _ => Expected::Something,
    }
}
