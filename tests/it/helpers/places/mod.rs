//! Real filesystems for the real command: disks, layers, bind mounts, mount points, and filesystems
//! that lack a feature.
//!
//! A [`MountedLab`] is a [`Lab`] in which the parent of the target, or the target itself, is on the
//! filesystem of its [`Kind`]. Each test must run in its own mount namespace ([`crate::mounts`]);
//! dropping a place, also by a panic, releases what it mounted or attached. A kind that is not
//! available here prints the reason, and is `None`.
//!
//! The kernel and the tools decide what a kind can do: only the lack of rename flags is simulated.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::mounts::has;
use crate::trees::{Ended, Lab, end};

/// The user who owns a target and not the directory that holds it.
const OTHER_USER: u32 = 65534;

/// The launcher that makes `renameat2` refuse its flags.
const NO_RENAME_FLAGS: &str = include_str!("no_rename_flags.py");

/// The kind of filesystem of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
    /// An overlayfs whose lower layer holds everything that was prepared.
    Overlay,
    /// A bind mount of a directory of the same filesystem; the target is below it.
    Bind,
    /// The target itself is the mount point of a tmpfs.
    MountPoint,
    /// A FUSE filesystem without rename flags, over a tmpfs.
    Fuse,
    /// No links, no modes, no owners.
    Exfat,
    /// A read-only mount.
    ReadOnly,
    /// A tmpfs, under a kernel without rename flags.
    NoRenameFlags,
    /// A tmpfs, for a user who owns the target and may not write its parent directory.
    Unwritable,
}

impl Kind {
    /// Whether files keep their modes.
    pub(crate) fn keeps_modes(self) -> bool {
        self != Self::Exfat
    }

    /// Whether the filesystem reports birth times.
    pub(crate) fn tells_births(self) -> bool {
        match self {
            Self::Fuse | Self::Exfat => false,
            Self::Ext4
            | Self::Xfs
            | Self::Btrfs
            | Self::Tmpfs
            | Self::Overlay
            | Self::Bind
            | Self::MountPoint
            | Self::ReadOnly
            | Self::NoRenameFlags
            | Self::Unwritable => true,
        }
    }
}

/// A lab on a filesystem of some kind.
#[derive(Debug)]
pub(crate) struct MountedLab {
    pub(crate) kind: Kind,
    pub(crate) lab: Lab,
    /// Commands that release mounts and loop devices, the last first.
    undo: Vec<Vec<String>>,
}

impl MountedLab {
    /// A place with what `prepare` puts into its lab: before the mount for a lower layer and a
    /// read-only mount, on the filesystem itself for all others.
    pub(crate) fn new(kind: Kind, prepare: impl Fn(&mut Lab)) -> Option<Self> {
        let mut place = Self {
            kind,
            lab: Lab::in_memory()?,
            undo: Vec::new(),
        };
        let is_before = matches!(kind, Kind::Overlay | Kind::ReadOnly);
        if is_before {
            prepare(&mut place.lab);
        }
        place.mount()?;
        if !is_before {
            prepare(&mut place.lab);
        }
        if kind == Kind::Unwritable {
            let parent = place.lab.parent();
            std::os::unix::fs::chown(&parent, Some(0), Some(0)).unwrap();
            let others_look = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&parent, others_look).unwrap();
        }
        Some(place)
    }

    /// Runs the command with arguments.
    pub(crate) fn run(&self, words: &[String]) -> Ended {
        self.run_under(&[], words)
    }

    /// Runs the command with arguments; it must succeed.
    pub(crate) fn done(&self, words: &[String]) {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.story);
    }

    /// Runs the command under another one, such as a tracer.
    pub(crate) fn run_under(&self, outer: &[String], words: &[String]) -> Ended {
        end(&mut self.lab.under(outer, words))
    }

    fn mount(&mut self) -> Option<()> {
        let parent = self.lab.parent();
        match self.kind {
            Kind::Ext4 => self.mount_image("mkfs.ext4", &["-q"]),
            Kind::Xfs => self.mount_image("mkfs.xfs", &["-q"]),
            Kind::Btrfs => self.mount_image("mkfs.btrfs", &["-q"]),
            Kind::Exfat => self.mount_exfat(),
            Kind::Tmpfs => self.mount_at(&["-t", "tmpfs", "tmpfs"], &parent),
            Kind::MountPoint => {
                let target = self.lab.target();
                fs::create_dir(&target).unwrap();
                self.mount_at(&["-t", "tmpfs", "tmpfs"], &target)
            }
            Kind::Overlay => self.mount_over_layer(),
            Kind::Bind => {
                let below = self.dir("below");
                self.mount_at(&["--bind", &below], &parent)
            }
            Kind::Fuse => {
                let below = self.dir("below");
                self.mount_at(&["-t", "tmpfs", "tmpfs"], Path::new(&below))?;
                self.attach("bindfs", &[&below, &shown(&parent)])?;
                self.let_go("umount", &parent);
                Some(())
            }
            Kind::ReadOnly => {
                self.mount_at(&["--bind", &shown(&parent)], &parent)?;
                self.attach("mount", &["-o", "remount,ro,bind", &shown(&parent)])
            }
            Kind::NoRenameFlags => {
                self.mount_at(&["-t", "tmpfs", "tmpfs"], &parent)?;
                let python = self.lab.python.display().to_string();
                // It starts before every command: without what only users of packages need.
                self.start_by(&[&python, "-ISc", NO_RENAME_FLAGS])
            }
            Kind::Unwritable => {
                self.mount_at(&["-t", "tmpfs", "tmpfs"], &parent)?;
                self.lab.owner = Some(OTHER_USER);
                // Its answers belong to this user.
                fs::remove_dir_all(&self.lab.cache).unwrap();
                for dir in [parent.display().to_string(), self.dir("cache")] {
                    std::os::unix::fs::chown(dir, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
                }
                // Lets the user read interpreters where only root may; this grants no write access.
                let user = OTHER_USER.to_string();
                let who = ["--reuid", &user, "--regid", &user, "--clear-groups"];
                let may = ["--inh-caps", "+dac_read_search", "--ambient-caps"];
                self.start_by(&[&["setpriv"], &who[..], &may, &["+dac_read_search"]].concat())
            }
        }
    }

    /// Runs the command under a launcher, which must be able to start `true`.
    fn start_by(&mut self, launcher: &[&str]) -> Option<()> {
        self.lab.launcher = launcher.iter().map(|word| (*word).to_owned()).collect();
        let (program, rest) = launcher.split_first()?;
        self.attach(program, &[rest, &["true"]].concat())
    }

    fn mount_image(&mut self, maker: &str, flags: &[&str]) -> Option<()> {
        let image = self.image();
        let parent = self.lab.parent();
        self.attach(maker, &[flags, &[&image]].concat())?;
        self.mount_at(&["-o", "loop", &image], &parent)?;
        let found = parent.join("lost+found");
        if found.exists() {
            fs::remove_dir(found).unwrap();
        }
        Some(())
    }

    /// The kernel's exfat where it exists; else a FUSE driver, which needs a device, not a file.
    fn mount_exfat(&mut self) -> Option<()> {
        let image = self.image();
        let parent = shown(&self.lab.parent());
        self.attach("mkfs.exfat", &[&image])?;
        let device = done("losetup", &["--find", "--show", &image])?;
        let device = device.trim();
        self.let_go("losetup -d", Path::new(device));
        let kernel = Command::new("mount")
            .args(["-i", "-t", "exfat", device, &parent])
            .output();
        if !kernel.is_ok_and(|output| output.status.success()) {
            self.attach("mount.exfat-fuse", &[device, &parent])?;
        }
        self.let_go("umount", &self.lab.parent());
        Some(())
    }

    /// Moves what was prepared into the lower layer.
    fn mount_over_layer(&mut self) -> Option<()> {
        let parent = self.lab.parent();
        let lower = shown(&self.lab.file("lower"));
        fs::rename(&parent, &lower).unwrap();
        fs::create_dir(&parent).unwrap();
        let (upper, work) = (self.dir("upper"), self.dir("work"));
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        self.mount_at(&["-t", "overlay", "-o", &layers, "overlay"], &parent)
    }

    fn mount_at(&mut self, how: &[&str], at: &Path) -> Option<()> {
        self.attach("mount", &[how, &[&shown(at)]].concat())?;
        self.let_go("umount", at);
        Some(())
    }

    /// A sparse image, large enough for the largest minimum size of a filesystem.
    fn image(&self) -> String {
        let image = self.lab.file("disk.img");
        fs::File::create(&image)
            .unwrap()
            .set_len(512 << 20)
            .unwrap();
        shown(&image)
    }

    fn dir(&self, name: &str) -> String {
        let dir = self.lab.file(name);
        fs::create_dir(&dir).unwrap();
        shown(&dir)
    }

    fn attach(&self, tool: &str, words: &[&str]) -> Option<()> {
        let told = done(tool, words).map(drop);
        if told.is_none() {
            println!(
                "skipped: there is no place of the kind {:?} here",
                self.kind
            );
        }
        told
    }

    fn let_go(&mut self, command: &str, what: &Path) {
        let mut words: Vec<_> = command.split(' ').map(str::to_owned).collect();
        words.push(shown(what));
        self.undo.push(words);
    }
}

impl Drop for MountedLab {
    fn drop(&mut self) {
        while let Some(words) = self.undo.pop() {
            let Some((program, rest)) = words.split_first() else {
                continue;
            };
            // The failure of the test matters more than a remaining mount, which ends with the
            // process anyway.
            if !Command::new(program)
                .args(rest)
                .status()
                .is_ok_and(|s| s.success())
            {
                println!("could not {}", words.join(" "));
            }
        }
    }
}

/// The output of a tool that succeeds; prints the reason if it is missing or fails.
fn done(tool: &str, words: &[&str]) -> Option<String> {
    if !has(tool) {
        return None;
    }
    let output = Command::new(tool).args(words).output().unwrap();
    if !output.status.success() {
        println!("{tool}: {}", String::from_utf8_lossy(&output.stderr).trim());
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
