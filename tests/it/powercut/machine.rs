//! A machine that can lose power: a disk, a real filesystem on it, and a boot id.
//!
//! Lives in a process with its own mount namespace (see [`crate::powercut::service`]). The kernel
//! frees the loop device when its last user ends, also when that one was killed. The filesystem is
//! mounted at the same path in every run, because an environment holds its path, and states of a
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

/// Drops the kernel's cache of a block device (`linux/fs.h`).
const BLKFLSBUF: ioctl::Opcode = 0x1261;
/// Starts a commit of all metadata, and waits for it (`linux/btrfs.h`).
const START_SYNC: ioctl::Opcode = ioctl::opcode::read::<u64>(0x94, 24);
const WAIT_SYNC: ioctl::Opcode = ioctl::opcode::write::<u64>(0x94, 22);

/// Just enough for the content; xfs needs at least 300 MiB.
pub(crate) const DISK_SIZE: u64 = 320 << 20;

/// The filesystem of a disk.
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

    /// Flags with which the kernel initialises nothing later, in the middle of a recording.
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

    /// Turns off that ext4 flushes unsynced data when a file is renamed over another one.
    fn options(self) -> &'static str {
        match self {
            Self::Ext4 => "noauto_da_alloc",
            Self::Xfs | Self::Btrfs => "",
        }
    }
}

/// A disk with a filesystem, and everything that was mounted for it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) filesystem: Filesystem,
    pub(crate) requests: Requests,
    /// The mount point of the filesystem.
    pub(crate) home: PathBuf,
    file: PathBuf,
    boot_id: PathBuf,
    boots: Cell<u32>,
    device: PathBuf,
    /// The loop device exists as long as this is open.
    keeper: File,
}

impl Machine {
    /// Mounts the disk that another process serves, in a directory that only this machine uses.
    pub(crate) fn new(filesystem: Filesystem, dir: &Path, socket: &Path) -> Self {
        let [home, file, boot_id] = ["home", "disk", "boot_id"].map(|name| dir.join(name));
        fs::create_dir_all(&home).unwrap();
        fs::write(&file, "").unwrap();
        fs::write(&boot_id, "").unwrap();
        mount_bind(&boot_id, "/proc/sys/kernel/random/boot_id").unwrap();
        // The connection to the kernel came as standard input. Only the process that serves may
        // hold it.
        let options = c"fd=0,rootmode=100000,user_id=0,group_id=0,allow_other,max_read=1048576";
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("rvenv-powercut", &file, "fuse", flags, options).unwrap();
        rustix::stdio::dup2_stdin(File::open("/dev/null").unwrap()).unwrap();
        let requests = Requests::connect(socket);
        let device = attach(&file);
        // Opened read-only: some kernels refuse to mount a device that another process may write.
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

    /// Mounts the current disk, as a machine does after boot.
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
        // A process that has just ended may still hold the mount.
        let since = Instant::now();
        while let Err(error) = unmount(&self.home, UnmountFlags::empty()) {
            let may_wait = error == Errno::BUSY && since.elapsed() < Duration::from_secs(10);
            assert!(may_wait, "cannot unmount: {error}");
            thread::yield_now();
        }
    }

    /// Drops the cache: the content of the disk has changed behind the kernel's back.
    #[expect(unsafe_code, reason = "no safe function asks this of the kernel")]
    fn forget(&self) {
        // SAFETY: the request takes no argument, and changes nothing but the kernel's cache.
        unsafe { ioctl::ioctl(&self.keeper, ioctl::NoArg::<BLKFLSBUF>::new()) }.unwrap();
    }

    /// A handle with which another thread can sync.
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
    /// Syncs everything that was written so far.
    pub(crate) fn sync(&self) {
        rustix::fs::syncfs(File::open(&self.path).unwrap()).unwrap();
    }

    /// Commits the metadata of what was written so far, not the content of files. Filesystems do
    /// that by themselves every few seconds, and when another program syncs.
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
    /// The disk must be unmounted while it is still served; what fails here happens at the end of
    /// the process.
    fn drop(&mut self) {
        for mount in [&self.home, &self.file] {
            unmount(mount, UnmountFlags::DETACH).ok();
        }
    }
}
