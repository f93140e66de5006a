//! A wheel from any author.
//!
//! Most byte strings are not an archive, so most of the time they describe one: entries with names,
//! modes and contents, and a RECORD that lists them. Then some bytes of the archive are changed.

use std::collections::BTreeSet;
use std::io::{Cursor, Write as _};

use rvenv::wheel::{
    ENTRIES_MAX, FileContent, InstallScheme, MEMBER_BYTES_MAX, Notes, Planned, Requested,
    TOTAL_BYTES_MAX, Wheel, WheelError, installation,
};
use rvenv_journal::{Content, Digest, Mode, Node, Operation, PlanBuilder, RelPath};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::choices::Choices;

const FILE_NAME: &str = "demo-1.0-py3-none-any.whl";
const INFO: &str = "demo-1.0.dist-info";
/// Entries of an archive that is made.
const ENTRIES: usize = 12;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const NAMES: [&str; 28] = [
    "demo.py",
    "demo/__init__.py",
    "demo/",
    "Demo.py",
    "demo",
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "./demo.py",
    "a//b",
    "C:/evil",
    "a\\b",
    "con",
    "aux.py",
    "demo-1.0.data/scripts/python",
    "demo-1.0.data/scripts/tool",
    "demo-1.0.data/scripts/activate",
    "demo-1.0.data/data/pyvenv.cfg",
    "demo-1.0.data/data/bin/python3",
    "demo-1.0.data/purelib/demo.py",
    "demo-1.0.data/headers/h.h",
    "demo-1.0.data/x/y",
    "demo-1.0.data/data/.rvenv/receipt.json",
    "demo-1.0.dist-info/INSTALLER",
    "demo-1.0.dist-info/REQUESTED",
    "demo-1.0.dist-info/RECORD.jws",
    "demo-1.0.dist-info/entry_points.txt",
    "other-1.0.dist-info/METADATA",
];
const MODES: [u32; 7] = [
    0, 0o100_644, 0o100_755, 0o120_777, 0o040_755, 0o010_644, 0o104_755,
];
const TEXTS: [&str; 5] = [
    "#!python\nprint()\n",
    "[console_scripts]\ntool = demo:main\n",
    "[console_scripts]\n../x = demo:main\n",
    "",
    "[console_scripts]\npython = demo:main\n[gui_scripts]\ntool = demo:main [extra]\n",
];

const METADATA: [&str; 6] = [
    "Name: Demo\nVersion: 1.0\nRequires-Python: >=3\nRequires-Dist: a[b]>=1; extra == 'c'\n",
    "Name: demo\nName: other\nVersion: 1.0\n",
    "Name: other\nVersion: 1.0\n",
    "Name: demo\nVersion: 2.0\n",
    "Name: demo\n\nVersion: 1.0\n",
    "",
];
const WHEEL: [&str; 4] = [
    "Wheel-Version: 1.9\nRoot-Is-Purelib: false\n",
    "Wheel-Version: 2.0\n",
    "Root-Is-Purelib: true\n",
    "wheel-version: 1.0\r\nWheel-Version: 3.0\r\n",
];

/// I6: any bytes are refused, or are a wheel whose members all match RECORD, and whose files all
/// have different paths in an environment.
pub fn wheel_read(bytes: &[u8]) -> bool {
    let bytes = match bytes.split_first() {
        Some((0..=31, raw)) => raw.to_vec(),
        Some((_, choices)) => archive(choices),
        None => Vec::new(),
    };
    let Ok(wheel) = Wheel::from_bytes(FILE_NAME, bytes) else {
        return false;
    };
    check_members(&wheel);
    for python in ["/e/bin/python", "/a path/with spaces/bin/python"] {
        check_installation(&wheel, python);
    }
    true
}

fn check_members(wheel: &Wheel) {
    assert!(wheel.members().len() <= ENTRIES_MAX);
    assert!(wheel.members().iter().map(|member| member.len).sum::<u64>() <= TOTAL_BYTES_MAX);
    let mut places = BTreeSet::new();
    for member in wheel.members() {
        assert!(member.len <= MEMBER_BYTES_MAX);
        let place = member.path.as_str().to_lowercase();
        assert!(
            !place.split('/').any(|part| matches!(part, "" | "." | "..")),
            "{place}"
        );
        assert!(places.insert(place), "two members in one place");
    }
    // A member that does not unpack is an error; one that does matches RECORD.
    let _refused = wheel.for_each(u64::MAX, |member, bytes| {
        assert_eq!(member.len, bytes.len() as u64);
        assert_eq!(member.digest, Digest::of(bytes));
        Ok::<(), WheelError>(())
    });
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).expect("it is a path")
}

fn check_installation(wheel: &Wheel, python: &str) {
    let site = "lib/python3.12/site-packages";
    let target = InstallScheme {
        purelib: rel(site),
        platlib: rel("lib64/python3.12/site-packages"),
        scripts: rel("bin"),
        headers: rel("include/site/python3.12"),
        python,
        launchers: None,
        version: (3, 12),
        bytecode: None,
        notes: Notes {
            installer: "pip",
            requested: Requested::Marked,
            direct_url: None,
        },
    };
    let Ok(files) = installation(wheel, &target) else {
        return;
    };
    let mut plan = PlanBuilder::new("/e", Mode::SHARED_DIR).expect("the path is absolute");
    for own in ["pyvenv.cfg", "bin/python", "bin/python3", "bin/activate"] {
        add(&mut plan, rel(own), b"the environment's own");
    }
    for file in &files {
        let bytes = match &file.content {
            FileContent::Bytes(bytes) => bytes.clone(),
            FileContent::Member { digest, .. } | FileContent::Bytecode { digest, .. } => {
                digest.to_string().into_bytes()
            }
        };
        check_place(file);
        add(&mut plan, file.path.clone(), &bytes);
    }
    let written = files
        .iter()
        .any(|file| file.path.as_str().ends_with(&format!("{INFO}/RECORD")));
    assert!(written, "an installation without its RECORD");
}

fn check_place(file: &Planned) {
    let first = file
        .path
        .components()
        .next()
        .unwrap_or_default()
        .to_lowercase();
    assert!(
        first != ".rvenv" && file.path.as_str() != "pyvenv.cfg",
        "{}",
        file.path
    );
}

/// A plan takes every file: none collides with another or with the environment's own.
fn add(plan: &mut PlanBuilder, path: RelPath, bytes: &[u8]) {
    let content = Content::Inline(bytes.to_vec());
    let node = Node::File {
        mode: Mode::SHARED_FILE,
        mtime: None,
        content,
    };
    let operation = Operation {
        part: "pip".into(),
        group: None,
        node,
    };
    let added = plan
        .add_parents(&path, "pip", None, Mode::SHARED_DIR)
        .and_then(|()| plan.add(path, operation));
    added.expect("what an installation consists of has places of its own");
}

fn archive(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = Choices::of(bytes);
    let mut entries = vec![
        (
            format!("{INFO}/METADATA"),
            b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n".to_vec(),
            0o100_644,
        ),
        (
            format!("{INFO}/WHEEL"),
            b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_vec(),
            0o100_644,
        ),
    ];
    for _ in 0..bytes.next() % ENTRIES {
        let name = match bytes.next() % 8 {
            7 => String::from_utf8_lossy(bytes.some()).into_owned(),
            _ => bytes.pick(&NAMES).to_owned(),
        };
        let content = match bytes.next() % 4 {
            3 => bytes.some().to_vec(),
            2 => vec![0; 70_000],
            _ => bytes.pick(&TEXTS).as_bytes().to_vec(),
        };
        entries.push((name, content, bytes.pick(&MODES)));
    }
    if bytes.next() % 8 == 7 {
        entries[0].1 = bytes.pick(&METADATA).as_bytes().to_vec();
        entries[1].1 = bytes.pick(&WHEEL).as_bytes().to_vec();
    }
    let mut record: String = entries
        .iter()
        .map(|(name, content, _)| row(name, content))
        .collect();
    record.push_str(INFO);
    record.push_str("/RECORD,,\n");
    if bytes.next() % 8 == 7 {
        record.push_str(&String::from_utf8_lossy(bytes.some()));
    }
    entries.push((format!("{INFO}/RECORD"), record.into_bytes(), 0o100_644));
    let mut archive = zipped(&entries);
    bytes.damage(&mut archive);
    archive
}

fn zipped(entries: &[(String, Vec<u8>, u32)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, mode) in entries {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .external_attributes(mode << 16);
        // The writer refuses a name that exists already; renamed afterwards, it would be a
        // duplicate.
        if writer.start_file(name, options).is_ok() {
            writer
                .write_all(content)
                .expect("memory takes what it is given");
        }
    }
    writer
        .finish()
        .expect("memory takes what it is given")
        .into_inner()
}

fn row(name: &str, content: &[u8]) -> String {
    let quoted = name.replace('"', "\"\"");
    format!(
        "\"{quoted}\",sha256={},{}\n",
        encoded(Digest::of(content).as_bytes()),
        content.len()
    )
}

/// Base64 as in wheels.
fn encoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .chain([0, 0].iter())
            .take(3)
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        for place in 0..=group.len() {
            text.push(char::from(BASE64[bits >> (18 - 6 * place) & 63]));
        }
    }
    text
}
