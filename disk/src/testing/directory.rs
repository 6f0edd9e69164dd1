//! A handle of a simulated directory.

use std::{cell::RefCell, rc::Rc};

use super::{
    SimDevice,
    apart::apart,
    device::failed,
    disk::{SimDisk, join},
    fault::{Fault, Operation},
    file::File,
    folder::Folder,
};
use crate::{
    device::{Capacity, Directory, Durability, Fill},
    error::Error,
};

/// A directory of a [`SimDisk`].
#[derive(Clone, Debug)]
pub struct SimDirectory {
    disk: SimDisk,
    folder: Rc<RefCell<Folder>>,
    path: String,
    life: u64,
}

impl SimDirectory {
    pub(super) fn new(disk: SimDisk, folder: Rc<RefCell<Folder>>, path: String) -> Self {
        let life = disk.life();
        Self { disk, folder, path, life }
    }

    fn start(&self, operation: Operation, name: &str) -> Result<Started, Error> {
        assert!(!name.is_empty() && !name.contains('/'), "{name:?} is not a plain name");
        self.disk.check(self.life)?;
        let path = join(&self.path, name);
        let fault = self.disk.start(operation, &path, [0, 0]);
        Ok(Started { path, fault })
    }

    fn device(&self, name: &str, path: String, durability: Durability) -> Result<SimDevice, Error> {
        let file = self.folder.borrow().files.get(name).map(Rc::clone);
        let file = file.ok_or_else(|| Error::Absent { name: path.clone() })?;
        Ok(SimDevice::new(self.disk.clone(), file, path, durability))
    }
}

/// An operation on a name that was counted and may be struck.
struct Started {
    path: String,
    fault: Option<Fault>,
}

impl Started {
    fn result(&self, attempted: &str) -> Result<(), Error> {
        match self.fault {
            None => Ok(()),
            Some(Fault::NoSpace) => {
                Err(Error::NoSpace { attempted: format!("{attempted} {}", self.path) })
            }
            Some(Fault::Io | Fault::ReadError | Fault::ShortWrite | Fault::SyncError) => {
                Err(failed(attempted, &self.path, "input/output error"))
            }
        }
    }
}

impl Directory for SimDirectory {
    type Device = SimDevice;

    fn path(&self) -> String {
        format!("/{}", self.path)
    }

    async fn directory(&self, name: &str) -> Result<Self, Error> {
        let started = self.start(Operation::Names, name)?;
        self.disk.elapse(self.life).await?;
        started.result("open the directory")?;
        let inner = {
            let mut folder = self.folder.borrow_mut();
            Rc::clone(folder.folders.entry(name.to_owned()).or_default())
        };
        Ok(Self::new(self.disk.clone(), inner, started.path))
    }

    async fn open(&self, name: &str, durability: Durability) -> Result<SimDevice, Error> {
        let started = self.start(Operation::Names, name)?;
        self.disk.elapse(self.life).await?;
        started.result("open")?;
        self.device(name, started.path, durability)
    }

    async fn create(
        &self,
        name: &str,
        fill: Fill,
        durability: Durability,
    ) -> Result<SimDevice, Error> {
        let started = self.start(Operation::Create, name)?;
        if self.folder.borrow().has(name) {
            return Err(Error::Exists { name: started.path });
        }
        let length = match fill {
            Fill::Empty => 0,
            Fill::Zeros(length) | Fill::Reserved(length) => length,
        };
        let has_room = self.disk.has_room(length);
        if started.fault.is_none() {
            // On a full disk the name is there, without its bytes.
            let length = if has_room { length } else { 0 };
            let file = Rc::new(RefCell::new(File::filling(length)));
            self.folder.borrow_mut().put(name, file);
        }
        self.disk.elapse(self.life).await?;
        started.result("create")?;
        if !has_room {
            return Err(Error::NoSpace { attempted: format!("create {}", started.path) });
        }
        let device = self.device(name, started.path, durability)?;
        if matches!(fill, Fill::Zeros(_)) {
            device.filled();
        }
        Ok(device)
    }

    async fn rename(&self, source: &str, target: &str) -> Result<(), Error> {
        let started = self.start(Operation::Names, source)?;
        if started.fault.is_none() && !self.folder.borrow_mut().rename(source, target) {
            return Err(Error::Absent { name: started.path });
        }
        self.disk.elapse(self.life).await?;
        started.result("rename")
    }

    async fn remove(&self, name: &str) -> Result<(), Error> {
        let started = self.start(Operation::Names, name)?;
        if started.fault.is_none() && !self.folder.borrow_mut().remove(name) {
            return Err(Error::Absent { name: started.path });
        }
        self.disk.elapse(self.life).await?;
        started.result("remove")
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        let started = self.start(Operation::Names, ".")?;
        self.disk.elapse(self.life).await?;
        started.result("list")?;
        let folder = self.folder.borrow();
        let mut names: Vec<String> =
            folder.files.keys().chain(folder.folders.keys()).cloned().collect();
        names.sort();
        Ok(names)
    }

    async fn sync(&self) -> Result<(), Error> {
        self.disk.count_flush();
        let started = self.start(Operation::Sync, ".")?;
        let mark = self.folder.borrow().sync_mark();
        self.disk.elapse(self.life).await?;
        started.result("sync the directory")?;
        self.folder.borrow_mut().synced(mark);
        Ok(())
    }

    async fn capacity(&self) -> Result<Capacity, Error> {
        self.disk.check(self.life)?;
        Ok(apart(|| self.disk.capacity()))
    }
}
