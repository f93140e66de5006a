//! Wheels of pure packages with modules and a program, and the locks that name them.
//!
//! Promises that no two modules of all wheels have the same bytes, as with real packages, so that a
//! store by content gets no advantage; and that every lock names the same wheels by the same
//! hashes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;

use super::field::Field;
use super::rivals::{Python, done};

/// The version of a package, unless another one is asked for.
pub(crate) const VERSION: &str = "1.0";

/// Makes wheels, and beside them, in another directory, their metadata.
const MAKE: &str = r#"
import base64, hashlib, os, sys, zipfile
wheels, metadata, count, version = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
FUNCTION = "def function_%d(one, other):\n    return one + other + %d\n\n\n"
for number in range(count):
    name = "package_%d" % number
    info = "%s-%s.dist-info/" % (name, version)
    text = "".join(FUNCTION % (place, place) for place in range(20))
    first = "NAME = '%s %s %d'\n"
    files = {"%s/module_%d.py" % (name, module): first % (name, version, module) + text
             for module in range(20)}
    files[name + "/__init__.py"] = "def main():\n    print('%s %s')\n" % (name, version)
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (name, version)
    files[info + "WHEEL"] = ("Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\n"
                             "Tag: py3-none-any\n")
    files[info + "entry_points.txt"] = "[console_scripts]\n%s = %s:main\n" % (name, name)
    rows = ""
    file = "%s-%s-py3-none-any.whl" % (name, version)
    with open(os.path.join(metadata, file), "w") as target:
        target.write(files[info + "METADATA"])
    with zipfile.ZipFile(os.path.join(wheels, file), "w") as wheel:
        def add(path, text):
            about = zipfile.ZipInfo(path, (2020, 2, 2, 0, 0, 0))
            wheel.writestr(about, text, compress_type=zipfile.ZIP_DEFLATED)
        for path, text in files.items():
            add(path, text)
            digest = hashlib.sha256(text.encode()).digest()
            digest = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            rows += "%s,sha256=%s,%d\n" % (path, digest, len(text))
        add(info + "RECORD", rows + info + "RECORD,,\n")
"#;

/// Directories with wheels and with their metadata.
#[derive(Clone, Debug)]
pub(crate) struct Wheels {
    pub(crate) dir: PathBuf,
    pub(crate) metadata: PathBuf,
}

impl Wheels {
    /// Empty directories in a field.
    pub(crate) fn new(field: &Field) -> Result<Self, String> {
        let wheels = Self {
            dir: field.root.join("wheels"),
            metadata: field.root.join("metadata"),
        };
        for dir in [&wheels.dir, &wheels.metadata] {
            fs::create_dir(dir).map_err(|error| error.to_string())?;
        }
        Ok(wheels)
    }

    /// Makes the first packages in a version.
    pub(crate) fn make(
        &self,
        field: &Field,
        python: &Python,
        count: usize,
        version: &str,
    ) -> Result<(), String> {
        let mut make = field.command(&python.path);
        make.args(["-c", MAKE]).args([&self.dir, &self.metadata]);
        done(make.arg(count.to_string()).arg(version))
    }

    /// The first packages, the first of them in a version of its own.
    pub(crate) fn pins(&self, count: usize, first: &str) -> Result<Vec<Pin>, String> {
        let versions = std::iter::once(first).chain(std::iter::repeat(VERSION));
        let numbers = (0..count).zip(versions);
        numbers
            .map(|(number, version)| Pin::read(&self.dir, number, version))
            .collect()
    }
}

/// A package of a lock.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    name: String,
    version: String,
    /// Its file name.
    wheel: String,
    digest: Digest,
}

impl Pin {
    fn read(dir: &Path, number: usize, version: &str) -> Result<Self, String> {
        let wheel = format!("package_{number}-{version}-py3-none-any.whl");
        let bytes = fs::read(dir.join(&wheel)).map_err(|error| error.to_string())?;
        Ok(Self {
            name: format!("package-{number}"),
            version: version.to_owned(),
            wheel,
            digest: Digest::of(&bytes),
        })
    }
}

/// A `pylock.toml` that names wheels below a `path` or `url`.
pub(crate) fn pylock(pins: &[Pin], key: &str, below: &str) -> String {
    let mut text = "lock-version = \"1.0\"\ncreated-by = \"bench\"\n".to_owned();
    for pin in pins {
        let (name, version, digest) = (&pin.name, &pin.version, pin.digest);
        let wheel = &pin.wheel;
        let _infallible = write!(
            text,
            "\n[[packages]]\nname = \"{name}\"\nversion = \"{version}\"\n\
             wheels = [{{ {key} = \"{below}/{wheel}\", hashes = {{ sha256 = \"{digest}\" }} }}]\n"
        );
    }
    text
}

/// The same as a requirements file in which everything is pinned and hashed.
pub(crate) fn requirements(pins: &[Pin]) -> String {
    let mut text = String::new();
    for pin in pins {
        let (name, version, digest) = (&pin.name, &pin.version, pin.digest);
        let _infallible = writeln!(text, "{name}=={version} --hash=sha256:{digest}");
    }
    text
}
