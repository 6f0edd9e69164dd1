//! Writing: places are reserved at once, one behind the other; the writes themselves run side by side.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use futures::channel::oneshot;

use super::{
    Class, Extent, Shared,
    area::{Area, Writer},
    class::SEQUENCE_END,
    files, header, layout,
    layout::Batch,
    ledger::Ledger,
};
use crate::{
    device::{Device, Directory, Durability, Fill},
    error::Error,
};

/// The segment that is written to.
pub(super) struct Appender<D: Directory> {
    active: RefCell<Option<Active<D>>>,
    /// Whether somebody makes the next segment.
    rolling: Cell<bool>,
    /// Who waits for that: told by the drop of the sender.
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
}

impl<D: Directory> Default for Appender<D> {
    fn default() -> Self {
        Self { active: RefCell::default(), rolling: Cell::default(), waiting: RefCell::default() }
    }
}

struct Active<D: Directory> {
    segment: u32,
    device: Rc<D::Device>,
    /// Where the next write goes, in bytes: everything before is reserved.
    end: u64,
}

/// The turn of the one append that makes the next segment; its end, also by failure, wakes the others at once.
struct Turn<'a, D: Directory>(&'a Appender<D>);

impl<'a, D: Directory> Turn<'a, D> {
    fn new(appender: &'a Appender<D>) -> Self {
        appender.rolling.set(true);
        Self(appender)
    }
}

impl<D: Directory> Drop for Turn<'_, D> {
    fn drop(&mut self) {
        self.0.rolling.set(false);
        self.0.waiting.borrow_mut().clear();
    }
}

/// A reserved place; the segment is not removed while it exists.
struct Reservation<D: Directory> {
    ledger: Rc<RefCell<Ledger>>,
    segment: u32,
    device: Rc<D::Device>,
    offset: u64,
}

impl<D: Directory> Drop for Reservation<D> {
    fn drop(&mut self) {
        self.ledger.borrow_mut().end_write(self.segment);
    }
}

impl<D: Directory> Shared<D> {
    pub(super) async fn append(
        &self,
        (area, writer): (&Area<D>, Writer),
        items: &[(Bytes, Bytes)],
    ) -> Result<Vec<Extent>, Error> {
        let segment_bytes = usize::try_from(self.options.segment_bytes).unwrap_or(usize::MAX);
        let batches = layout::plan(items, self.options.write_bytes_max, segment_bytes)?;
        let mut extents = Vec::with_capacity(items.len());
        // Kept to the end: between a write and the pins nothing else refers to its segment.
        let mut reservations = Vec::with_capacity(batches.len());
        for batch in &batches {
            let reservation = self.reserve((area, writer), batch.length).await?;
            let mut buffer = reservation.device.buffer(batch.length);
            for (place, (key, data)) in batch.places.iter().zip(&items[batch.items.clone()]) {
                let extent = extent(&reservation, *place, data);
                header::write(&mut buffer[place.offset..], extent, key, data);
                extents.push(extent);
            }
            reservation.device.write(reservation.offset, buffer).await?;
            self.wrote(area, &reservation, batch);
            reservations.push(reservation);
        }
        let mut ledger = self.ledger.borrow_mut();
        for extent in &extents {
            let pinned = ledger.pin(*extent);
            assert!(pinned, "the segment of {extent:?} is reserved");
        }
        drop(ledger);
        Ok(extents)
    }

    /// How far a segment is written, in bytes, if it is the active one.
    pub(super) fn active_end(&self, segment: u32) -> Option<u64> {
        let area = self.area(Class::of_segment(segment)).ok()?;
        let active = area.appender.active.borrow();
        active.as_ref().filter(|active| active.segment == segment).map(|active| active.end)
    }

    /// What is left of the active segment, in bytes; none before the first append.
    pub(super) fn active_room(&self, area: &Area<D>) -> u64 {
        let active = area.appender.active.borrow();
        active.as_ref().map_or(0, |active| self.options.segment_bytes.saturating_sub(active.end))
    }

    fn wrote(&self, area: &Area<D>, reservation: &Reservation<D>, batch: &Batch) {
        area.flusher.wrote(reservation.segment, &reservation.device);
        self.counts.writes.update(|count| count + 1);
        let length = u64::try_from(batch.length).expect("a segment's length fits");
        self.counts.write_bytes.update(|bytes| bytes + length);
        if area.class != Class::OWN {
            self.counts.class_bytes.update(|bytes| bytes + length);
        }
    }

    async fn reserve(
        &self,
        (area, writer): (&Area<D>, Writer),
        length: usize,
    ) -> Result<Reservation<D>, Error> {
        let length = u64::try_from(length).expect("a segment's length fits");
        loop {
            if let Some(reservation) = self.reserve_active(area, length) {
                return Ok(reservation);
            }
            if area.appender.rolling.get() {
                let (sender, receiver) = oneshot::channel();
                area.appender.waiting.borrow_mut().push(sender);
                let _dropped: Result<(), oneshot::Canceled> = receiver.await;
                continue;
            }
            let _turn = Turn::new(&area.appender);
            area.check_space(writer, self.options.segment_bytes).await?;
            self.roll(area).await?;
        }
    }

    fn reserve_active(&self, area: &Area<D>, length: u64) -> Option<Reservation<D>> {
        let mut active = area.appender.active.borrow_mut();
        let active = active.as_mut()?;
        let end = active.end.checked_add(length)?;
        if end > self.options.segment_bytes {
            return None;
        }
        let offset = std::mem::replace(&mut active.end, end);
        self.ledger.borrow_mut().start_write(active.segment);
        Some(Reservation {
            ledger: Rc::clone(&self.ledger),
            segment: active.segment,
            device: Rc::clone(&active.device),
            offset,
        })
    }

    /// Seals the active segment of a class and makes a new one. What fails here leaves the old one active.
    async fn roll(&self, area: &Area<D>) -> Result<(), Error> {
        let number = self.ledger.borrow_mut().take_number(area.class);
        let segment = number.ok_or_else(|| Error::Limit {
            what: "the number of segments ever made",
            found: u64::from(SEQUENCE_END) + 1,
            limit: u64::from(SEQUENCE_END),
        })?;
        let fill = Fill::Reserved(self.options.segment_bytes);
        let name = files::name(segment);
        let created = area.directory.create(&name, fill, Durability::AtSync).await;
        if let Err(Error::NoSpace { .. }) = created {
            // The name may be there though its space is not: each try on a full device would leave one.
            match area.directory.remove(&name).await {
                Ok(()) | Err(Error::Absent { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let device = Rc::new(created?);
        area.flusher.named();
        let mut ledger = self.ledger.borrow_mut();
        ledger.add(segment);
        let next = Active { segment, device, end: 0 };
        if let Some(full) = area.appender.active.borrow_mut().replace(next) {
            ledger.seal(full.segment);
            area.files.keep(full.segment, full.device);
        }
        Ok(())
    }
}

impl<D: Directory> Area<D> {
    /// The file of the active segment, if it is this one.
    pub(super) fn active_device(&self, segment: u32) -> Option<Rc<D::Device>> {
        let active = self.appender.active.borrow();
        let active = active.as_ref().filter(|active| active.segment == segment)?;
        Some(Rc::clone(&active.device))
    }
}

fn extent<D: Directory>(
    reservation: &Reservation<D>,
    place: layout::Place,
    data: &Bytes,
) -> Extent {
    let narrow = |bytes: u64| u32::try_from(bytes).expect("a segment is shorter than 4 GiB");
    let wide = |bytes: usize| u64::try_from(bytes).expect("a segment's length fits");
    Extent {
        segment: reservation.segment,
        offset: narrow(reservation.offset + wide(place.offset)),
        header_bytes: narrow(wide(place.header_bytes)),
        data_bytes: narrow(wide(data.len())),
    }
}
