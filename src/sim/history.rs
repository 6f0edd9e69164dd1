//! What clients wrote and read, key by key, and whether a linearizable store may have answered so.
//!
//! Every write has its interval: from its request to its acknowledgement, or, where none came, to the
//! crash that ended it, for after that it can't happen any more. A read may return a write that began before the
//! read ended, unless another write lies wholly between the two. What a read returned is a write of its own from then
//! on: nothing older may come back. With few writers a key this finds what a full search would.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Bytes that follow from a number: the content of one PUT or part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Different for every piece of a run.
    pub number: u64,
    /// In bytes.
    pub length: usize,
}

impl Piece {
    /// Its bytes.
    pub fn bytes(self) -> Bytes {
        let mut bytes = vec![0; self.length];
        let mut state = self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for part in bytes.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            part.copy_from_slice(&state.to_le_bytes()[..part.len()]);
        }
        bytes.into()
    }
}

/// What a key holds: an object of these pieces, or nothing.
pub type Value = Option<Vec<Piece>>;

/// The name of a register.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The bucket.
    pub bucket: String,
    /// The object's key; empty for the bucket itself.
    pub key: String,
}

/// From the start of a request to its end, in moments ([`History::moment`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Before the first byte of the request.
    pub start: u64,
    /// After the last byte of the response.
    pub end: u64,
}

/// What a read saw.
#[derive(Clone, Debug)]
pub enum Seen {
    /// There is nothing.
    Nothing,
    /// There is an object of this length and `ETag`; its bytes where they were read.
    Object {
        /// In bytes.
        length: usize,
        /// Without quotes.
        etag: String,
        /// All of them.
        bytes: Option<Bytes>,
    },
}

/// A write under way, to be ended by [`History::acknowledge`] or [`History::refuse`]; else it may have happened or not.
#[derive(Clone, Debug)]
#[must_use = "a write ends"]
pub struct Ticket {
    name: Name,
    write: u64,
}

#[derive(Clone, Debug)]
struct Write {
    number: u64,
    value: Value,
    etag: Option<String>,
    start: u64,
    /// None while it may still happen.
    end: Option<u64>,
    acknowledged: bool,
    /// It was to happen only where there was nothing.
    creates: bool,
}

/// All registers.
#[derive(Debug, Default)]
pub struct History {
    registers: BTreeMap<Name, Vec<Write>>,
    write_next: u64,
    moment: u64,
}

impl History {
    /// A moment after all others before. Finer than virtual time, in which many things happen at once.
    pub fn moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// Begins a write.
    pub fn begin(&mut self, name: &Name, value: Value) -> Ticket {
        self.push(name, value, false)
    }

    /// Begins a write that is refused where there is an object.
    pub fn begin_create(&mut self, name: &Name, value: Value) -> Ticket {
        self.push(name, value, true)
    }

    /// A write was acknowledged, with this `ETag`.
    pub fn acknowledge(&mut self, ticket: Ticket, etag: Option<String>) {
        let end = self.moment();
        let write = self.write(ticket);
        write.end = Some(end);
        write.etag = etag;
        write.acknowledged = true;
    }

    /// A write was refused: it never happened.
    pub fn refuse(&mut self, ticket: Ticket) {
        let Ticket { name, write: refused } = ticket;
        let writes = self.registers.get_mut(&name).expect("the ticket names a register");
        writes.retain(|write| write.number != refused);
    }

    /// A crash: what was under way has happened by now, or never.
    pub fn crash(&mut self) {
        let now = self.moment();
        for write in self.registers.values_mut().flatten() {
            write.end = write.end.or(Some(now));
        }
    }

    /// Every register of a bucket with a key.
    pub fn names(&self, bucket: &str) -> Vec<Name> {
        let names = self.registers.keys();
        names.filter(|name| name.bucket == bucket && !name.key.is_empty()).cloned().collect()
    }

    /// Every bucket that was ever written to.
    pub fn buckets(&self) -> Vec<String> {
        let names = self.registers.keys();
        names.filter(|name| name.key.is_empty()).map(|name| name.bucket.clone()).collect()
    }

    /// The value that a register surely has; `None` where more than one is possible.
    pub fn certain(&mut self, name: &Name) -> Option<(Value, Option<String>)> {
        let now = self.moment();
        let mut possible = self.possible(name, Interval { start: now, end: now });
        let first = possible.next()?;
        let all_same = possible.all(|write| write.value == first.value);
        all_same.then_some((first.value, first.etag))
    }

    /// Whether a register could have held an object, or nothing, at some time in the interval.
    pub fn could_be(&self, name: &Name, interval: Interval, present: bool) -> bool {
        self.possible(name, interval).any(|write| write.value.is_some() == present)
    }

    /// Takes a read in; what is wrong with it otherwise.
    pub fn read(&mut self, name: &Name, interval: Interval, seen: &Seen) -> Result<(), String> {
        let matching: Vec<Write> =
            self.possible(name, interval).filter(|write| is_seen(write, seen)).collect();
        let Some(first) = matching.first() else {
            return Err(self.explain(name, interval, seen));
        };
        let is_unique = matching.iter().all(|write| write.value == first.value);
        if is_unique {
            let etag = match seen {
                Seen::Object { etag, .. } => Some(etag.clone()),
                Seen::Nothing => None,
            };
            let number = self.number();
            let Interval { start, end } = interval;
            let read = Write {
                number,
                value: first.value.clone(),
                etag,
                start,
                end: Some(end),
                acknowledged: true,
                creates: false,
            };
            let writes = self.registers.entry(name.clone()).or_default();
            // What lies wholly before this read can't be seen any more.
            let settled = |write: &Write| write.end.is_some_and(|end| end < start);
            writes.retain(|write| write.creates || !settled(write));
            writes.push(read);
        }
        Ok(())
    }

    /// Registers that were created more than once and never deleted.
    pub fn created_twice(&self) -> Vec<Name> {
        let twice = |writes: &&Vec<Write>| {
            let created = writes.iter().filter(|write| write.creates && write.acknowledged);
            let deleted = writes.iter().any(|write| write.value.is_none());
            created.count() > 1 && !deleted
        };
        let found = self.registers.iter().filter(|(_, writes)| twice(writes));
        found.map(|(name, _)| name.clone()).collect()
    }

    /// How many writes were acknowledged and how many may have happened or not.
    pub fn counts(&self) -> (usize, usize) {
        let writes = || self.registers.values().flatten();
        let acknowledged = writes().filter(|write| write.acknowledged).count();
        (acknowledged, writes().count() - acknowledged)
    }

    fn push(&mut self, name: &Name, value: Value, creates: bool) -> Ticket {
        let (number, start) = (self.number(), self.moment());
        let write =
            Write { number, value, etag: None, start, end: None, acknowledged: false, creates };
        self.registers.entry(name.clone()).or_default().push(write);
        Ticket { name: name.clone(), write: number }
    }

    fn number(&mut self) -> u64 {
        self.write_next += 1;
        self.write_next
    }

    fn write(&mut self, ticket: Ticket) -> &mut Write {
        let Ticket { name, write: number } = ticket;
        let writes = self.registers.get_mut(&name).expect("the ticket names a register");
        let found = writes.iter_mut().find(|write| write.number == number);
        found.expect("a write is there until it's refused")
    }

    /// The writes that a read of this interval may return. Before all of them there was nothing.
    fn possible(&self, name: &Name, read: Interval) -> std::vec::IntoIter<Write> {
        let nothing = Write {
            number: 0,
            value: None,
            etag: None,
            start: 0,
            end: Some(0),
            acknowledged: true,
            creates: false,
        };
        let writes = self.registers.get(name).map_or(&[][..], Vec::as_slice);
        let is_hidden = move |write: &Write| {
            let Some(end) = write.end else { return false };
            writes.iter().any(|later| {
                later.acknowledged
                    && later.start > end
                    && later.end.is_some_and(|later_end| later_end < read.start)
            })
        };
        let all: Vec<Write> = std::iter::once(nothing)
            .chain(writes.iter().cloned())
            .filter(|write| write.start < read.end.max(1) && !is_hidden(write))
            .collect();
        all.into_iter()
    }

    fn explain(&self, name: &Name, interval: Interval, seen: &Seen) -> String {
        let seen = match seen {
            Seen::Nothing => "nothing".to_owned(),
            Seen::Object { length, etag, bytes } => {
                let how = if bytes.is_some() { "read" } else { "listed" };
                format!("an object of {length} bytes, {etag}, {how}")
            }
        };
        let allowed: Vec<String> =
            self.possible(name, interval).map(|write| told(&write)).collect();
        let (bucket, key) = (&name.bucket, &name.key);
        format!("{bucket}/{key} held {seen}; possible: {}", allowed.join("; "))
    }
}

fn told(write: &Write) -> String {
    let state = if write.acknowledged { "acknowledged" } else { "unknown" };
    let etag = write.etag.as_deref().unwrap_or("-");
    match &write.value {
        None => format!("nothing ({state})"),
        Some(pieces) => {
            let length: usize = pieces.iter().map(|piece| piece.length).sum();
            format!("write {} of {length} bytes, {etag} ({state})", write.number)
        }
    }
}

fn is_seen(write: &Write, seen: &Seen) -> bool {
    match (&write.value, seen) {
        (None, Seen::Nothing) => true,
        (Some(pieces), Seen::Object { length, etag, bytes }) => {
            let written: usize = pieces.iter().map(|piece| piece.length).sum();
            written == *length
                && write.etag.as_ref().is_none_or(|known| known == etag)
                && bytes.as_ref().is_none_or(|bytes| are_bytes_of(pieces, bytes))
        }
        (None, Seen::Object { .. }) | (Some(_), Seen::Nothing) => false,
    }
}

fn are_bytes_of(pieces: &[Piece], bytes: &Bytes) -> bool {
    let mut left = bytes.clone();
    pieces.iter().all(|piece| left.split_to(piece.length) == piece.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name { bucket: "bucket".to_owned(), key: "key".to_owned() }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a value may be none: the object is gone")]
    fn value(number: u64) -> Value {
        Some(vec![Piece { number, length: 100 }])
    }

    fn seen(number: u64) -> Seen {
        let bytes = Piece { number, length: 100 }.bytes();
        Seen::Object { length: 100, etag: "e".to_owned(), bytes: Some(bytes) }
    }

    /// Writes and is acknowledged.
    fn write(history: &mut History, value: Value) {
        let ticket = history.begin(&name(), value);
        history.acknowledge(ticket, None);
    }

    fn read(history: &mut History, seen: &Seen) -> Result<(), String> {
        let (start, end) = (history.moment(), history.moment());
        history.read(&name(), Interval { start, end }, seen)
    }

    #[test]
    fn an_acknowledged_write_must_be_seen_and_nothing_older() {
        let mut history = History::default();
        write(&mut history, value(1));
        assert!(read(&mut history, &Seen::Nothing).is_err());
        read(&mut history, &seen(1)).unwrap();
        write(&mut history, value(2));
        assert!(read(&mut history, &seen(1)).is_err());
        read(&mut history, &seen(2)).unwrap();
    }

    #[test]
    fn a_write_under_way_may_be_seen_or_not() {
        let mut history = History::default();
        write(&mut history, value(1));
        let start = history.moment();
        let ticket = history.begin(&name(), value(2));
        history.acknowledge(ticket, None);
        let end = history.moment();
        for number in [1, 2] {
            let read = history.possible(&name(), Interval { start, end });
            assert_eq!(read.filter(|write| is_seen(write, &seen(number))).count(), 1);
        }
    }

    #[test]
    fn an_unknown_write_may_be_seen_but_not_come_and_go() {
        for visible in [false, true] {
            let mut history = History::default();
            write(&mut history, value(1));
            let _unknown = history.begin(&name(), value(2));
            history.crash();
            let (now, other) = if visible { (2, 1) } else { (1, 2) };
            read(&mut history, &seen(now)).unwrap();
            assert!(read(&mut history, &seen(other)).is_err());
            read(&mut history, &seen(now)).unwrap();
        }
    }

    #[test]
    fn an_acknowledged_delete_stays() {
        let mut history = History::default();
        write(&mut history, value(1));
        write(&mut history, None);
        assert!(read(&mut history, &seen(1)).is_err());
        read(&mut history, &Seen::Nothing).unwrap();
    }

    #[test]
    fn other_bytes_of_the_same_length_are_found() {
        let mut history = History::default();
        write(&mut history, value(1));
        assert!(read(&mut history, &seen(3)).unwrap_err().contains("100 bytes"));
    }

    #[test]
    fn a_key_has_one_creator() {
        let mut history = History::default();
        let tickets = [1, 2].map(|number| history.begin_create(&name(), value(number)));
        for ticket in tickets {
            history.acknowledge(ticket, None);
        }
        assert_eq!(history.created_twice(), [name()]);
    }
}
