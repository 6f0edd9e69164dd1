//! One simulated directory: the names programs see, the durable ones, and the changes between the two.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    file::{File, Mood},
    random::Random,
};

/// A file, shared by its names and its handles.
pub(super) type FileRef = Rc<RefCell<File>>;

/// A change of names.
#[derive(Clone, Debug)]
enum Change {
    Put { name: String, file: FileRef },
    Rename { source: String, target: String, file: FileRef },
    Remove { name: String },
}

/// A directory's states. Directories inside are durable as soon as they exist.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) folders: BTreeMap<String, Rc<RefCell<Folder>>>,
    pub(super) files: BTreeMap<String, FileRef>,
    durable: BTreeMap<String, FileRef>,
    pending: Vec<Change>,
    /// Changes that a sync has made durable, ever: marks of syncs in flight count from the start.
    synced_count: usize,
}

impl Folder {
    /// The same names on another disk, all of them durable.
    pub(super) fn copy(&self) -> Self {
        let files: BTreeMap<String, FileRef> = self
            .files
            .iter()
            .map(|(name, file)| (name.clone(), Rc::new(RefCell::new(file.borrow().copy()))))
            .collect();
        let folders = self
            .folders
            .iter()
            .map(|(name, inner)| (name.clone(), Rc::new(RefCell::new(inner.borrow().copy()))))
            .collect();
        Self { folders, durable: files.clone(), files, ..Self::default() }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.folders.contains_key(name)
    }

    pub(super) fn put(&mut self, name: &str, file: FileRef) {
        self.files.insert(name.to_owned(), Rc::clone(&file));
        self.pending.push(Change::Put { name: name.to_owned(), file });
    }

    /// Whether there was such a file.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let found = self.files.remove(name).is_some();
        if found {
            self.pending.push(Change::Remove { name: name.to_owned() });
        }
        found
    }

    /// Whether there was such a file.
    pub(super) fn rename(&mut self, source: &str, target: &str) -> bool {
        let Some(file) = self.files.remove(source) else { return false };
        self.files.insert(target.to_owned(), Rc::clone(&file));
        let (source, target) = (source.to_owned(), target.to_owned());
        self.pending.push(Change::Rename { source, target, file });
        true
    }

    /// What a sync that starts now will make durable.
    pub(super) fn sync_mark(&self) -> usize {
        self.synced_count + self.pending.len()
    }

    pub(super) fn synced(&mut self, mark: usize) {
        let count = mark.saturating_sub(self.synced_count).min(self.pending.len());
        for change in self.pending.drain(..count) {
            apply(&mut self.durable, &change);
        }
        self.synced_count += count;
    }

    /// Loses power, with everything inside.
    pub(super) fn crash(&mut self, mood: Mood, random: &mut Random) {
        // Names that a lost change touched: a later change of them can't survive without it.
        let mut lost = BTreeSet::new();
        let pending = std::mem::take(&mut self.pending);
        self.synced_count += pending.len();
        for change in pending {
            let names = change.names();
            let kept = match mood {
                Mood::Loses => false,
                Mood::Keeps => true,
                Mood::Mixes => random.coin(),
            };
            if kept && names.iter().all(|name| !lost.contains(name)) {
                apply(&mut self.durable, &change);
            } else {
                lost.extend(names);
            }
        }
        self.files = self.durable.clone();
        for file in self.files.values() {
            file.borrow_mut().crash(mood, random);
        }
        for folder in self.folders.values() {
            folder.borrow_mut().crash(mood, random);
        }
    }
}

impl Change {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Put { name, .. } | Self::Remove { name } => vec![name.clone()],
            Self::Rename { source, target, .. } => vec![source.clone(), target.clone()],
        }
    }
}

fn apply(names: &mut BTreeMap<String, FileRef>, change: &Change) {
    match change {
        Change::Put { name, file } => {
            names.insert(name.clone(), Rc::clone(file));
        }
        Change::Rename { source, target, file } => {
            names.remove(source);
            names.insert(target.clone(), Rc::clone(file));
        }
        Change::Remove { name } => {
            names.remove(name);
        }
    }
}
