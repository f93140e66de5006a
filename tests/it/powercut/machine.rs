//! A machine that can lose its power: a disk, a real filesystem on it, and a boot id.
//!
//! Lives in a process among mounts of its own (see [`crate::powercut::service`]). The loop device
//! is freed by the kernel when its last user is gone, also when that one was killed. The filesystem
//! is mounted at the same path in every run, because an environment holds its path, and states of a
//! saved recording are compared with each other.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use rustix::ioctl;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::powercut::service::Requests;
use crate::trees::end;

/// Drops what the kernel remembers of a block device (`linux/fs.h`).
const BLKFLSBUF: ioctl::Opcode = 0x1261;
/// Begins to commit all metadata, and waits for that (`linux/btrfs.h`).
const START_SYNC: ioctl::Opcode = ioctl::opcode::read::<u64>(0x94, 24);
const WAIT_SYNC: ioctl::Opcode = ioctl::opcode::write::<u64>(0x94, 22);

/// Just enough for what is to be on it; no xfs is smaller than 300 MiB.
pub(crate) const DISK_SIZE: u64 = 320 << 20;

/// What a disk is made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filesystem {
    Ext4,
    Xfs,
    Btrfs,
}

impl Filesystem {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    pub(crate) fn maker(self) -> &'static str {
        match self {
            Self::Ext4 => "mkfs.ext4",
            Self::Xfs => "mkfs.xfs",
            Self::Btrfs => "mkfs.btrfs",
        }
    }

    /// Nothing is left to be initialised by the kernel later, in the midst of a recording.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Ext4 => &[
                "-q",
                "-F",
                "-N",
                "8192",
                "-E",
                "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
            ],
            Self::Xfs | Self::Btrfs => &["-q", "-f", "-K"],
        }
    }

    /// Without the habit of ext4 to write out, when a file is renamed over another one, what the
    /// program did not sync.
    fn options(self) -> &'static str {
        match self {
            Self::Ext4 => "noauto_da_alloc",
            Self::Xfs | Self::Btrfs => "",
        }
    }
}

/// A disk with a filesystem, and all that was mounted for it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) filesystem: Filesystem,
    pub(crate) requests: Requests,
    /// Where the filesystem is mounted.
    pub(crate) home: PathBuf,
    file: PathBuf,
    boot_id: PathBuf,
    boots: Cell<u32>,
    device: PathBuf,
    /// While it is open, the loop device stays.
    keeper: File,
}

impl Machine {
    /// Mounts the disk that another process serves, in a directory that is there for this machine
    /// alone.
    pub(crate) fn new(filesystem: Filesystem, dir: &Path, socket: &Path) -> Self {
        let [home, file, boot_id] = ["home", "disk", "boot_id"].map(|name| dir.join(name));
        fs::create_dir_all(&home).unwrap();
        fs::write(&file, "").unwrap();
        fs::write(&boot_id, "").unwrap();
        mount_bind(&boot_id, "/proc/sys/kernel/random/boot_id").unwrap();
        // The connection to the kernel came as standard input. The process that serves must be the
        // only one to hold it.
        let options = c"fd=0,rootmode=100000,user_id=0,group_id=0,allow_other,max_read=1048576";
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("rvenv-powercut", &file, "fuse", flags, options).unwrap();
        rustix::stdio::dup2_stdin(File::open("/dev/null").unwrap()).unwrap();
        let requests = Requests::connect(socket);
        let device = attach(&file);
        // Opened for reading only: a device that somebody else may write to cannot be mounted
        // everywhere.
        let keeper = File::open(&device).unwrap();
        let freed = end(Command::new("losetup").arg("-d").arg(&device));
        assert_eq!(freed.code, Some(0), "{}", freed.story);
        Self {
            filesystem,
            requests,
            home,
            file,
            boot_id,
            boots: Cell::new(0),
            device,
            keeper,
        }
    }

    /// A new filesystem on an empty disk.
    pub(crate) fn make(&self) {
        self.requests.blank();
        self.forget();
        let maker = self.filesystem.maker();
        let mut maker = Command::new(maker);
        let made = end(maker.args(self.filesystem.flags()).arg(&self.device));
        assert_eq!(made.code, Some(0), "{}", made.story);
    }

    /// Mounts what is on the disk now, as a machine does that was just started.
    pub(crate) fn mount(&self) -> Result<(), Errno> {
        self.forget();
        let boot = self.boots.get() + 1;
        self.boots.set(boot);
        let id = format!("{boot:08x}-0000-4000-8000-000000000000\n");
        fs::write(&self.boot_id, id).unwrap();
        let options = CString::new(self.filesystem.options()).unwrap();
        let flags = MountFlags::empty();
        mount(
            &self.device,
            &self.home,
            self.filesystem.name(),
            flags,
            &*options,
        )
    }

    pub(crate) fn unmount(&self) {
        // A process that has just ended may not have let go yet.
        let since = Instant::now();
        while let Err(error) = unmount(&self.home, UnmountFlags::empty()) {
            let may_wait = error == Errno::BUSY && since.elapsed() < Duration::from_secs(10);
            assert!(may_wait, "cannot unmount: {error}");
            thread::yield_now();
        }
    }

    /// The disk is another one than before, which the kernel cannot know.
    #[expect(unsafe_code, reason = "no safe function asks this of the kernel")]
    fn forget(&self) {
        // SAFETY: the request takes no argument, and changes nothing but the kernel's cache.
        unsafe { ioctl::ioctl(&self.keeper, ioctl::NoArg::<BLKFLSBUF>::new()) }.unwrap();
    }

    /// What may be synced by a thread of its own.
    pub(crate) fn root(&self) -> Root {
        Root {
            filesystem: self.filesystem,
            path: self.home.clone(),
        }
    }
}

/// The filesystem, while it is mounted.
#[derive(Debug)]
pub(crate) struct Root {
    filesystem: Filesystem,
    path: PathBuf,
}

impl Root {
    /// Everything that was written so far is on the disk.
    pub(crate) fn sync(&self) {
        rustix::fs::syncfs(File::open(&self.path).unwrap()).unwrap();
    }

    /// The metadata is, of what was written so far; not the content of files. So it happens every
    /// few seconds by itself, and when another program syncs.
    pub(crate) fn commit(&self) {
        let root = File::open(&self.path).unwrap();
        if self.filesystem == Filesystem::Btrfs {
            commit_btrfs(&root);
            return;
        }
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        rustix::fs::futimens(&root, &times).unwrap();
        rustix::fs::fsync(&root).unwrap();
    }
}

#[expect(unsafe_code, reason = "no safe function asks this of the kernel")]
fn commit_btrfs(root: &File) {
    // SAFETY: both requests take one number by its address, the first one to write it, the second
    // one to read it.
    unsafe {
        let transaction = ioctl::ioctl(root, ioctl::Getter::<START_SYNC, u64>::new()).unwrap();
        ioctl::ioctl(root, ioctl::Setter::<WAIT_SYNC, u64>::new(transaction)).unwrap();
    }
}

fn attach(file: &Path) -> PathBuf {
    let output = Command::new("losetup")
        .args(["--find", "--show", "--direct-io=on"])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    PathBuf::from(said.trim())
}

impl Drop for Machine {
    /// The disk goes away while somebody still serves it; what fails here, the end of the process
    /// does.
    fn drop(&mut self) {
        for mount in [&self.home, &self.file] {
            unmount(mount, UnmountFlags::DETACH).ok();
        }
    }
}
