//! A real folder whose syncs can be held up or made to fail while a service uses it.

use std::io;
use std::sync::{Arc, Condvar, Mutex};

use ledger::{Disk, DiskFile, DiskLock, RealDisk};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    Work,
    Wait,
    Fail,
}

/// Turns the syncs of a [`MoodyDisk`].
#[derive(Clone)]
pub(crate) struct Switch(Arc<(Mutex<Syncs>, Condvar)>);

impl Switch {
    pub(crate) fn new() -> Switch {
        Switch(Arc::new((Mutex::new(Syncs::Work), Condvar::new())))
    }

    pub(crate) fn set(&self, syncs: Syncs) {
        *self.0.0.lock().unwrap() = syncs;
        self.0.1.notify_all();
    }

    fn sync(&self, file: &dyn DiskFile) -> io::Result<()> {
        let guard = self.0.0.lock().unwrap();
        let syncs = *self.0.1.wait_while(guard, |syncs| *syncs == Syncs::Wait).unwrap();
        if syncs == Syncs::Fail { Err(io::Error::other("the disk is gone")) } else { file.sync_data() }
    }
}

#[derive(Clone)]
pub(crate) struct MoodyDisk {
    pub(crate) real: RealDisk,
    pub(crate) switch: Switch,
}

struct MoodyFile(Box<dyn DiskFile>, Switch);

impl MoodyDisk {
    fn moody(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(MoodyFile(file, self.switch.clone()))
    }
}

impl Disk for MoodyDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        self.real.list()
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.real.create_new(name).map(|file| self.moody(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.real.open(name).map(|file| self.moody(file))
    }

    fn open_read(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.real.open_read(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.real.rename(from, to)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.real.sync_dir()
    }

    fn lock(&self, name: &str) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.real.lock(name)
    }

    fn describe(&self, name: &str) -> String {
        self.real.describe(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.real.remove(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.real.free_bytes()
    }

    fn again(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
}

impl DiskFile for MoodyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.1.sync(&*self.0)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}
