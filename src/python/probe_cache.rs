//! The probe's cache: the last answer of an interpreter.
//!
//! Promises never to return a wrong answer after an interpreter, its library or its wheels were
//! replaced, in place or not. An answer is used only while every fingerprint matches. It is kept
//! only if the path leads to the very file that answered, which excludes shims, whose answer can
//! change from day to day. Never fails: an entry that cannot be read, or does not match exactly,
//! counts as absent.
//!
//! Does not notice an upgrade of the library during the milliseconds of the probe itself; nor,
//! where there is neither ctime nor inode number, a file replaced by one of the same size and time.
//!
//! On disk: answers, `<cache dir>/interpreters/<sha256 of the path>.json`.
//! Read next: `interpreter.rs`, whose values are written here.

use std::fs;
use std::path::{Path, PathBuf};

use rvenv_journal::Digest;
use serde::{Deserialize, Serialize};

use super::interpreter::Interpreter;
use super::probe::PROBE;
use super::surroundings::Surroundings;
use crate::base::cached_answer::CachedAnswer;
use crate::base::fingerprint::Fingerprint;

/// The version of this format.
const FORMAT: u32 = 4;
/// More than any real entry has.
const ENTRY_MAX: u64 = 1 << 20;

/// The entry of one path.
pub(super) struct Slot {
    memo: CachedAnswer,
    path: PathBuf,
    /// The file that the path leads to now.
    resolved: PathBuf,
    locale: String,
}

/// One answer on disk. The fields before `interpreter` decide whether the entry applies.
#[derive(Serialize, Deserialize)]
struct CachedProbe {
    format: u32,
    probe: String,
    path: PathBuf,
    resolved: PathBuf,
    locale: String,
    interpreter: Interpreter,
}

impl Slot {
    /// The entry for `path`; `None` if there is no cache, or the path cannot have an entry.
    pub(super) fn of(path: &Path, around: &Surroundings) -> Option<Self> {
        Some(Self {
            memo: CachedAnswer::about(path, "interpreters", around.cache_dir.as_ref()?),
            path: path.to_owned(),
            resolved: fs::canonicalize(path).ok()?,
            locale: around.locale(),
        })
    }

    /// The remembered answer, if nothing that it depends on has changed.
    pub(super) fn recall(&self) -> Option<Interpreter> {
        let bytes = self.memo.read(ENTRY_MAX)?;
        let entry: CachedProbe = serde_json::from_slice(&bytes).ok()?;
        let applies = entry.format == FORMAT
            && entry.probe == Digest::of(PROBE.as_bytes()).to_string()
            && entry.path == self.path
            && entry.resolved == self.resolved
            && entry.locale == self.locale;
        if !applies {
            return None;
        }
        let known = entry.interpreter;
        // rvenv writes no entry without them.
        let watched = known.witnesses.iter().any(|w| w.path == self.path);
        (watched && known.witnesses.iter().all(Fingerprint::holds)).then_some(known)
    }

    /// Keeps an answer, if it depends on files alone. A failure to write it is ignored, since the
    /// cache only saves time.
    pub(super) fn remember(&self, found: &Interpreter) {
        let answered = fs::canonicalize(&found.invoked).ok();
        let resolved = fs::canonicalize(&self.path).ok();
        if answered != resolved || resolved.as_ref() != Some(&self.resolved) {
            return;
        }
        let entry = CachedProbe {
            format: FORMAT,
            probe: Digest::of(PROBE.as_bytes()).to_string(),
            path: self.path.clone(),
            resolved: self.resolved.clone(),
            locale: self.locale.clone(),
            interpreter: found.clone(),
        };
        // A path that is not UTF-8 is not remembered.
        if let Ok(bytes) = serde_json::to_vec(&entry) {
            drop(self.memo.write(&bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fingerprint::FileState;
    use crate::python::interpreter::{Bundled, Caching, sample};

    /// Another text here needs another [`FORMAT`].
    #[test]
    fn an_interpreter_on_disk_has_the_fields_of_format_4() {
        let state = FileState {
            len: 1,
            mtime_ns: -2,
            ctime_ns: 3,
            inode: 4,
        };
        let witness = |path: &str, state| Fingerprint {
            path: path.into(),
            state,
        };
        let caching = ("cpython-313".to_owned(), "f30d0d0a".to_owned());
        let mut interpreter = sample(13, "/p/python");
        interpreter.caching = Some(Caching::try_from(caching).unwrap());
        interpreter.witnesses = vec![witness("/p/python", Some(state)), witness("/p/none", None)];
        let text = concat!(
            r#"{"executable":"/p/python","invoked":"/p/python","real_executable":"/p/python","#,
            r#""executable_digest":""#,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            r#"","executable_len":0,"#,
            r#""version":{"major":3,"minor":13,"micro":0,"text":"3.13.0"},"#,
            r#""platform":{"implementation":"cpython","free_threaded":false,"abiflags":"","#,
            r#""is_64bit":true,"os_name":"posix","sys_platform":"linux","#,
            r#""filesystem_encoding":"utf-8","implementation_version":"3.13.0","#,
            r#""extension_suffix":".cpython-313-x86_64-linux-gnu.so","built_for":"linux-x86_64","#,
            r#""machine":"x86_64","system":"glibc 2.36"},"scheme":["include","#,
            r#""lib/python3.13/site-packages","lib64/python3.13/site-packages","bin"],"#,
            r#""caching":["cpython-313","f30d0d0a"],"bundled":{"wheels":[]},"#,
            r#""witnesses":[{"path":"/p/python","#,
            r#""state":{"len":1,"mtime_ns":-2,"ctime_ns":3,"inode":4}},"#,
            r#"{"path":"/p/none","state":null}]}"#,
        );
        assert_eq!(FORMAT, 4);
        assert_eq!(serde_json::to_string(&interpreter).unwrap(), text);
        assert_eq!(
            serde_json::from_str::<Interpreter>(text).unwrap(),
            interpreter
        );
        let reason = "no ensurepip".to_owned();
        interpreter.bundled = Bundled::Missing { reason };
        let text = text.replace(
            r#"{"wheels":[]}"#,
            r#"{"missing":{"reason":"no ensurepip"}}"#,
        );
        assert_eq!(serde_json::to_string(&interpreter).unwrap(), text);
        assert_eq!(
            serde_json::from_str::<Interpreter>(&text).unwrap(),
            interpreter
        );
    }
}
