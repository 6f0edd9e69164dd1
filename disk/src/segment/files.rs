//! The files of segments: their names, and a bounded number of open ones.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{
    device::{Directory, Durability},
    error::Error,
};

/// The file name of a segment.
pub(super) fn name(segment: u32) -> String {
    format!("segment-{segment:08x}")
}

/// The segment of a file name; `None` for a file of another kind.
pub(super) fn number(file: &str) -> Option<u32> {
    let segment = u32::from_str_radix(file.strip_prefix("segment-")?, 16).ok()?;
    (name(segment) == file).then_some(segment)
}

/// Sealed segments that are open for reading, least recently used first out.
pub(super) struct Files<D: Directory> {
    directory: Rc<D>,
    open_count_max: usize,
    open: RefCell<Open<D>>,
}

/// When a file was last used, counted in uses, and the file.
type Used<D> = (u64, Rc<<D as Directory>::Device>);

struct Open<D: Directory> {
    by_segment: BTreeMap<u32, Used<D>>,
    by_use: BTreeMap<u64, u32>,
    use_count: u64,
}

impl<D: Directory> Files<D> {
    pub(super) fn new(directory: Rc<D>, open_count_max: usize) -> Self {
        let open = Open { by_segment: BTreeMap::new(), by_use: BTreeMap::new(), use_count: 0 };
        Self { directory, open_count_max: open_count_max.max(1), open: RefCell::new(open) }
    }

    /// The file of a segment, opened where it is not.
    pub(super) async fn open(&self, segment: u32) -> Result<Rc<D::Device>, Error> {
        let known = self.open.borrow_mut().touch(segment);
        if let Some(device) = known {
            return Ok(device);
        }
        let opened = self.directory.open(&name(segment), Durability::AtSync).await?;
        let device = Rc::new(opened);
        self.keep(segment, Rc::clone(&device));
        Ok(device)
    }

    /// Keeps a file open that the caller has opened.
    pub(super) fn keep(&self, segment: u32, device: Rc<D::Device>) {
        let mut open = self.open.borrow_mut();
        open.forget(segment);
        let stamp = open.stamp();
        open.by_segment.insert(segment, (stamp, device));
        open.by_use.insert(stamp, segment);
        while open.by_segment.len() > self.open_count_max {
            let (_, oldest) = open.by_use.pop_first().expect("as many as are open");
            open.by_segment.remove(&oldest);
        }
    }

    /// Closes the file of a segment, once its last reader is done.
    pub(super) fn forget(&self, segment: u32) {
        self.open.borrow_mut().forget(segment);
    }
}

impl<D: Directory> Open<D> {
    fn touch(&mut self, segment: u32) -> Option<Rc<D::Device>> {
        let stamp = self.stamp();
        let (last_use, device) = self.by_segment.get_mut(&segment)?;
        self.by_use.remove(last_use);
        *last_use = stamp;
        self.by_use.insert(stamp, segment);
        Some(Rc::clone(device))
    }

    fn forget(&mut self, segment: u32) {
        if let Some((last_use, _)) = self.by_segment.remove(&segment) {
            self.by_use.remove(&last_use);
        }
    }

    fn stamp(&mut self) -> u64 {
        self.use_count += 1;
        self.use_count
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{Files, name, number};
    use crate::{
        device::{Directory, Durability, Fill},
        testing::{SimDisk, block_on},
    };

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(name(0xabc), "segment-00000abc");
        assert_eq!(number("segment-00000abc"), Some(0xabc));
        for other in
            ["segment-abc", "segment-00000ABC", "segment-", "wal-00000abc", "segment-+0000abc"]
        {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn the_least_recently_used_file_is_closed() {
        block_on(async {
            let root = SimDisk::new(1).root();
            for segment in 0..3 {
                root.create(&name(segment), Fill::Empty, Durability::AtSync).await.unwrap();
            }
            let files = Files::new(Rc::new(root), 2);
            let first = files.open(0).await.unwrap();
            let second = files.open(1).await.unwrap();
            assert!(Rc::ptr_eq(&files.open(0).await.unwrap(), &first));
            files.open(2).await.unwrap();
            assert!(Rc::ptr_eq(&files.open(0).await.unwrap(), &first));
            assert!(!Rc::ptr_eq(&files.open(1).await.unwrap(), &second));
            files.forget(1);
            files.forget(0);
            assert_eq!(files.open.borrow().by_use.len(), files.open.borrow().by_segment.len());
        });
    }
}
