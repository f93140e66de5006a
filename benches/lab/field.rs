//! Fields to race on: a directory on some filesystem, with all caches on the same one.
//!
//! Promises that a measured command sees nothing of the machine's own environment: home and caches
//! are the field's. Dropping the field releases loop devices and mounts; the bench also runs in its
//! own mount namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::rivals::Python;

/// The size of an empty disk, enough for every round of a race; the file is sparse.
const IMAGE_BYTES: u64 = 4 << 30;

/// A directory to race in.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) root: PathBuf,
    pub(crate) filesystem: String,
    mounted: bool,
    _dir: TempDir,
}

impl Field {
    /// A field on the filesystem of the build, or of temporary files, if one of them is ext4.
    pub(crate) fn on_disk() -> Self {
        let dir = scratch();
        Self {
            root: dir.path().canonicalize().expect("it was just made"),
            filesystem: filesystem(dir.path()),
            mounted: false,
            _dir: dir,
        }
    }

    /// A field on its own filesystem, or the reason why that failed.
    pub(crate) fn on(kind: &str) -> Result<Self, String> {
        Self::on_image(kind, IMAGE_BYTES)
    }

    /// The same with a given size.
    pub(crate) fn on_image(kind: &str, bytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may mount".to_owned());
        }
        let dir = scratch();
        let root = dir.path().join("field");
        fs::create_dir(&root).map_err(|error| error.to_string())?;
        let at = root.display().to_string();
        if kind == "tmpfs" {
            done("mount", &["-t", "tmpfs", "tmpfs", &at])?;
        } else {
            let image = dir.path().join("disk.img");
            let file = fs::File::create(&image).map_err(|error| error.to_string())?;
            file.set_len(bytes).map_err(|error| error.to_string())?;
            let image = image.display().to_string();
            // Work that ext4 defers would happen while others are measured.
            let at_once: &[&str] = match kind {
                "ext4" => &["-E", "lazy_itable_init=0,lazy_journal_init=0"],
                _ => &[],
            };
            done(
                &format!("mkfs.{kind}"),
                &[&["-q"], at_once, &[&image]].concat(),
            )?;
            done("mount", &["-o", "loop", &image, &at])?;
        }
        Ok(Self {
            filesystem: filesystem(&root),
            root,
            mounted: true,
            _dir: dir,
        })
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// A command in this field.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let cache = self.cache();
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.root)
            .env("UV_CACHE_DIR", cache.join("uv"))
            .env("UV_OFFLINE", "1")
            .env("VIRTUALENV_OVERRIDE_APP_DATA", cache.join("virtualenv"))
            .env("RVENV_CACHE_DIR", cache.join("rvenv"));
        command
    }

    /// The rvenv command under measurement.
    pub(crate) fn rvenv(&self, words: &[&str], python: &Python, target: &Path) -> Command {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_rvenv")));
        command.arg("-q").args(words);
        if !words.contains(&"rollback") {
            command.arg("--python").arg(&python.path);
        }
        command.arg(target);
        command
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        if self.mounted {
            let at = self.root.display().to_string();
            if let Err(why) = done("umount", &[&at]) {
                println!("could not unmount {at}: {why}");
            }
        }
    }
}

fn scratch() -> TempDir {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let temporary = std::env::temp_dir();
    let places = [own, &temporary];
    let ext4 = places.iter().find(|place| filesystem(place) == "ext4");
    let place = ext4.copied().unwrap_or(own);
    tempfile::tempdir_in(place).expect("a scratch directory can be made")
}

/// The name of the filesystem of a path.
pub(crate) fn filesystem(at: &Path) -> String {
    let told = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(at)
        .output();
    let told = told.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match told.unwrap_or_default().as_str() {
        // ext2, ext3 and ext4 have the same magic number; new filesystems are ext4.
        "ext2/ext3" => "ext4".to_owned(),
        "" => "an unknown filesystem".to_owned(),
        other => other.to_owned(),
    }
}

fn done(tool: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(tool).args(words).output();
    let output = output.map_err(|error| format!("{tool}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{tool}: {}", said.trim()))
}
