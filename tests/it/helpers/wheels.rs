//! Small pure wheels with the files that a test says.
//!
//! A wheel has whatever paths it is given, hostile ones too; `METADATA`, `WHEEL` and `RECORD` are
//! made. `packages` has wheels with everything that a wheel may have.

use std::path::Path;
use std::process::Command;

use serde_json::json;

/// Writes wheels: a JSON list of a name, a version, and paths with their texts.
const WRITE: &str = r#"
import base64, hashlib, json, sys, zipfile
for name, version, year, files in json.loads(sys.argv[2]):
    rows = ""
    path = "%s/%s-%s-py3-none-any.whl" % (sys.argv[1], name, version)
    with zipfile.ZipFile(path, "w") as wheel:
        for path, text in files:
            member = zipfile.ZipInfo(path, (year, 2, 2, 0, 0, 0))
            member.external_attr = 0o644 << 16
            wheel.writestr(member, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            rows += "%s,sha256=%s,%d\n" % (path, digest.decode().rstrip("="), len(text.encode()))
        record = "%s-%s.dist-info/RECORD" % (name, version)
        wheel.writestr(record, rows + record + ",,\n")
"#;

/// A wheel for every Python.
pub(crate) struct NewWheel {
    name: String,
    version: String,
    metadata: String,
    year: u16,
    files: Vec<(String, String)>,
}

impl NewWheel {
    pub(crate) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            metadata: format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"),
            year: 2020,
            files: Vec::new(),
        }
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// The year in the times of the files.
    pub(crate) fn of_year(self, year: u16) -> Self {
        Self { year, ..self }
    }

    /// A requirement; none if the text is empty.
    pub(crate) fn requires(mut self, requirement: &str) -> Self {
        if !requirement.is_empty() {
            self.metadata.extend(["Requires-Dist: ", requirement, "\n"]);
        }
        self
    }

    /// A program under the name of the package, which calls this function of it.
    pub(crate) fn program(self, function: &str) -> Self {
        let (name, version) = (&self.name, &self.version);
        let path = format!("{name}-{version}.dist-info/entry_points.txt");
        let text = format!("[console_scripts]\n{name} = {name}:{function}\n");
        self.file(&path, &text)
    }

    fn into_json(self) -> serde_json::Value {
        let Self {
            name,
            version,
            metadata,
            year,
            mut files,
        } = self;
        let wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        for (file, text) in [("METADATA", &*metadata), ("WHEEL", wheel)] {
            let path = format!("{name}-{version}.dist-info/{file}");
            files.push((path, text.to_owned()));
        }
        json!([name, version, year, files])
    }
}

/// Writes wheels into a directory.
#[track_caller]
pub(crate) fn write(python: &Path, directory: &Path, wheels: impl IntoIterator<Item = NewWheel>) {
    let wheels = wheels.into_iter().map(NewWheel::into_json);
    let wheels = serde_json::Value::Array(wheels.collect());
    let made = Command::new(python)
        .args(["-I", "-c", WRITE])
        .arg(directory)
        .arg(wheels.to_string())
        .status();
    assert!(made.unwrap().success(), "{}", directory.display());
}
