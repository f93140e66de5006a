//! Swapped wheels: the wheel that a plan names is replaced before the plan is applied, or meanwhile
//! (W).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::machine::{Ended, Scratch, any_python, stand_in};
use crate::packages;

const ROUNDS: u64 = 40;

/// Writes a wheel of the same length, whose files say `by evil`; its RECORD lists them.
const EVIL: &str = r#"
import base64, hashlib, os, sys, zipfile
good, evil = sys.argv[1:]
rows = ""
with zipfile.ZipFile(good) as old, zipfile.ZipFile(evil, "w") as new:
    for member in old.infolist():
        data = old.read(member).replace(b"by hand", b"by evil")
        if member.filename.endswith("/RECORD"):
            data = (rows + member.filename + ",,\n").encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        rows += "%s,sha256=%s,%d\n" % (member.filename, digest, len(data))
        new.writestr(member, data)
seen = os.stat(good)
assert os.stat(evil).st_size == seen.st_size
os.utime(evil, ns=(seen.st_atime_ns, seen.st_mtime_ns))
"#;

/// An interpreter whose bundled pip is a small wheel, and the evil one of the same name and length.
struct Shop {
    scratch: Scratch,
    python: PathBuf,
    good: PathBuf,
    evil: PathBuf,
}

impl Shop {
    fn new() -> Option<Self> {
        let base = any_python()?;
        let scratch = Scratch::cold();
        let (python, wheels) = stand_in(&scratch, &base);
        let is_pip = |wheel: &&PathBuf| wheel.to_string_lossy().contains("/pip-");
        let good = wheels.iter().find(is_pip)?.clone();
        let name = good.file_name()?.to_str()?;
        let version = name.split('-').nth(1)?;
        let index = packages::index(&scratch, &base.path, &[("pip", version)]);
        fs::copy(index.join(name), &good).unwrap();
        let evil = scratch.path("evil.whl");
        let made = [Path::new("-c"), Path::new(EVIL), &good, &evil];
        scratch.run(&base.path, &made).ok();
        Some(Self {
            scratch,
            python,
            good,
            evil,
        })
    }

    fn plan(&self) {
        let words = [
            "plan",
            "E",
            "-o",
            "p.json",
            "-p",
            self.python.to_str().unwrap(),
        ];
        self.scratch.rvenv(&words).ok();
    }

    fn apply(&self) -> Ended {
        self.scratch.rvenv(&["apply", "p.json"])
    }

    fn swap(&self) {
        renameat_with(CWD, &self.good, CWD, &self.evil, RenameFlags::EXCHANGE).unwrap();
    }

    /// Nothing of the evil wheel is in the environment or in the store.
    fn is_clean(&self) -> bool {
        let found = Command::new("grep")
            .args(["-rqs", "by evil"])
            .args([self.scratch.path("E"), self.scratch.cache()])
            .status();
        found.unwrap().code() != Some(0)
    }

    fn forget(&self) {
        for dir in [self.scratch.path("E"), self.scratch.cache()] {
            let _absent = fs::remove_dir_all(dir);
        }
        fs::create_dir(self.scratch.cache()).unwrap();
    }
}

/// I4, I6: neither length nor time tells the two apart, and the store has neither or the planned
/// one, which is then installed without the file.
#[test]
fn a_wheel_that_was_swapped_since_the_plan_is_not_installed() {
    let Some(shop) = Shop::new() else { return };
    for is_warm in [false, true] {
        shop.forget();
        shop.plan();
        if is_warm {
            shop.apply().ok();
            fs::remove_dir_all(shop.scratch.path("E")).unwrap();
        }
        shop.swap();
        if is_warm {
            shop.apply().ok();
            assert!(shop.is_clean());
            shop.swap();
            continue;
        }
        let said = shop.apply().failed(3);
        assert!(said.contains("/wheels/pip-"), "{said}");
        assert!(!shop.scratch.path("E").exists());
        assert!(shop.is_clean());
        shop.swap();
        shop.apply().ok();
        assert!(shop.is_clean());
    }
}

/// I4, I6: the bytes that are installed are those that were hashed, however often the file is
/// another one in between.
#[test]
fn a_wheel_that_is_swapped_while_a_plan_is_applied_is_refused_or_installed_as_planned() {
    let Some(shop) = Shop::new() else { return };
    shop.plan();
    let (over, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut done = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            // An even number: what is left at the end is as it was.
            while !over.load(Ordering::Relaxed) {
                for _ in 0..2 {
                    shop.swap();
                    thread::yield_now();
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let rounds: Vec<(Ended, bool)> = (0..ROUNDS)
            .map(|_| {
                shop.forget();
                (shop.apply(), shop.is_clean())
            })
            .collect();
        over.store(true, Ordering::Relaxed);
        for (ended, is_clean) in rounds {
            assert!(matches!(ended.code, Some(0 | 1 | 3)), "{ended:?}");
            assert!(is_clean, "{ended:?}");
            done += u64::from(ended.code == Some(0));
        }
    });
    let swaps = swaps.into_inner();
    println!("{done} of {ROUNDS} were installed; {swaps} exchanges");
    assert!(swaps > ROUNDS, "no attack happened");
    assert!(0 < done && done < ROUNDS, "all runs ended the same way");
}
