//! The byte form of a journal: a header line, canonical JSON, and the SHA-256 of everything before
//! it.
//!
//! Promises that bytes that were torn, edited or written by a later version are refused. The paths
//! of an accepted record pass the same checks as a plan's, and its token and steps can only name
//! what the engine creates (I6). Nothing panics.
//!
//! Read next: `place/record.rs`, `place/journal_file.rs`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::base::digest::{Digest, DigestError, Hasher};
use crate::base::identity::{Birth, Identity};
use crate::base::path::{RelPath, RelPathError};
use crate::place::record::{
    Act, Durability, EntrySlot, Form, Origin, Record, Retention, Step, Steps, Verdict,
};
use crate::plan::node::{ENGINE_DIR, Mode, ModeError, RECEIPT_NAME};

const MAGIC: &str = "rvenv-journal";
/// The version of the record that this code reads and writes.
pub const RECORD_VERSION: u64 = 1;
/// Maximum length of a record in bytes.
pub const RECORD_BYTES_MAX: u64 = 64 << 20;

/// Why bytes are not a record.
#[derive(Debug, Error)]
pub enum RecordReadError {
    /// The bytes were cut short, are filled with NUL, or have a wrong checksum, as after a power
    /// cut without a sync.
    #[error("its checksum is wrong: it is torn or was changed")]
    Torn,
    /// The version is unknown, or a required feature is.
    #[error("it has a version or feature that this program does not know: `{0}`")]
    Unknown(String),
    /// The checksum is right, but the content is not a record.
    #[error("it does not hold a record")]
    Syntax(#[source] serde_json::Error),
    /// A digest is not valid.
    #[error(transparent)]
    BadDigest(#[from] DigestError),
    /// A token could lead to names that the engine does not create.
    #[error("it names the stage `{0}`, which rvenv did not create")]
    BadToken(String),
    /// A path is not valid, or leads out of the target.
    #[error(transparent)]
    BadPath(#[from] RelPathError),
    /// Permission bits are not valid.
    #[error(transparent)]
    BadMode(#[from] ModeError),
    /// No publication has such a list of steps.
    #[error("it lists steps that no publication takes")]
    BadSteps,
}

impl Record {
    /// The byte form.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "strings and numbers always serialize"
    )]
    pub fn to_bytes(&self) -> Vec<u8> {
        let dto = RecordDto::from_record(self);
        let mut bytes = format!("{MAGIC} {RECORD_VERSION} incompat=\n").into_bytes();
        serde_json::to_writer(&mut bytes, &dto).expect("strings and numbers serialize");
        bytes.push(b'\n');
        let sum = Digest::of(&bytes);
        bytes.extend_from_slice(format!("{sum}\n").as_bytes());
        bytes
    }

    /// Reads bytes that [`Record::to_bytes`] wrote.
    ///
    /// # Errors
    /// Any other bytes are refused; they never cause a panic.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordReadError> {
        let text = std::str::from_utf8(bytes).map_err(|_| RecordReadError::Torn)?;
        let whole = text.strip_suffix('\n').and_then(|text| {
            let (summed, sum) = text.rsplit_once('\n')?;
            let (header, json) = summed.split_once('\n')?;
            Some((header, json, sum)).filter(|_| !json.contains('\n'))
        });
        let (header, json, sum) = whole.ok_or(RecordReadError::Torn)?;
        let mut summed = Hasher::default();
        for part in [header, "\n", json, "\n"] {
            summed.update(part.as_bytes());
        }
        if Digest::parse(sum).ok() != Some(summed.finish()) {
            return Err(RecordReadError::Torn);
        }
        if header != format!("{MAGIC} {RECORD_VERSION} incompat=") {
            return Err(RecordReadError::Unknown(
                header
                    .chars()
                    .take(80)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            ));
        }
        let dto: RecordDto<'_> = serde_json::from_str(json).map_err(RecordReadError::Syntax)?;
        dto.into_record()
    }
}

// Fields are sorted by name, which makes the form canonical.

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordDto<'a> {
    boot: String,
    durability: DurabilityDto,
    form: FormDto,
    generation: u32,
    plan: String,
    retention: RetentionDto,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_mode: Option<u32>,
    source: SourceDto,
    stage: IdentityDto,
    #[serde(borrow)]
    steps: StepsDto<'a>,
    token: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityDto {
    birth: Option<(i64, u32)>,
    inode: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FormDto {
    Tree,
    Entries,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SourceDto {
    Built,
    Generation,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DurabilityDto {
    Power,
    Process,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RetentionDto {
    Discard,
    Keep,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepsDto<'a> {
    #[serde(borrow)]
    list: StepListDto<'a>,
    receipt: Option<String>,
    verdict: VerdictDto,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VerdictDto {
    Taken,
    Awaited,
}

/// Which entry, and the identities on both sides: `new` comes, `old` goes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepDto<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    entry: Option<(Cow<'a, str>, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<IdentityDto>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<IdentityDto>,
}

/// Steps that are written and read one by one: there may be as many as paths.
enum StepListDto<'a> {
    Written(&'a [Step]),
    Read(Result<Vec<Step>, RecordReadError>),
}

impl Serialize for StepListDto<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let list = match self {
            Self::Written(list) => list,
            Self::Read(list) => list.as_deref().unwrap_or_default(),
        };
        to.collect_seq(list.iter().map(StepDto::from_step))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for StepListDto<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(OneByOne).map(Self::Read)
    }
}

struct OneByOne;

impl<'de> Visitor<'de> for OneByOne {
    type Value = Result<Vec<Step>, RecordReadError>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of steps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut steps = Ok(Vec::new());
        while let Some(dto) = list.next_element::<StepDto<'de>>()? {
            // After the first invalid step, the others are parsed but ignored.
            if let Ok(read) = &mut steps {
                match dto.into_step() {
                    Ok(step) => read.push(step),
                    Err(error) => steps = Err(error),
                }
            }
        }
        Ok(steps)
    }
}

impl<'a> RecordDto<'a> {
    fn from_record(record: &'a Record) -> Self {
        let steps = StepsDto {
            list: StepListDto::Written(&record.steps.list),
            receipt: record.steps.receipt.map(|receipt| receipt.to_string()),
            verdict: match record.steps.verdict {
                Verdict::BySteps => VerdictDto::Taken,
                Verdict::Awaited => VerdictDto::Awaited,
            },
        };
        Self {
            plan: record.plan.to_string(),
            token: record.token.clone(),
            generation: record.generation,
            form: match record.form {
                Form::Tree => FormDto::Tree,
                Form::Entries => FormDto::Entries,
            },
            source: match record.origin {
                Origin::Built => SourceDto::Built,
                Origin::Generation => SourceDto::Generation,
            },
            stage: IdentityDto::from_identity(record.stage),
            boot: record.boot.clone(),
            durability: match record.durability {
                Durability::Power => DurabilityDto::Power,
                Durability::Process => DurabilityDto::Process,
            },
            retention: match record.retention {
                Retention::Discard => RetentionDto::Discard,
                Retention::Keep => RetentionDto::Keep,
            },
            root_mode: record.root_mode.map(Mode::bits),
            steps,
        }
    }

    fn into_record(self) -> Result<Record, RecordReadError> {
        // Letters, digits and the separators of an identity; nothing that leads to another
        // directory.
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if !(1..=64).contains(&self.token.len()) || !self.token.bytes().all(is_allowed) {
            return Err(RecordReadError::BadToken(
                self.token.escape_debug().to_string(),
            ));
        }
        let form = match self.form {
            FormDto::Tree => Form::Tree,
            FormDto::Entries => Form::Entries,
        };
        let steps = self.steps.into_steps()?;
        if !are_known(form, &steps.list) {
            return Err(RecordReadError::BadSteps);
        }
        Ok(Record {
            plan: Digest::parse(&self.plan)?,
            token: self.token,
            generation: self.generation,
            form,
            origin: match self.source {
                SourceDto::Built => Origin::Built,
                SourceDto::Generation => Origin::Generation,
            },
            stage: self.stage.into_identity(),
            boot: self.boot,
            durability: match self.durability {
                DurabilityDto::Power => Durability::Power,
                DurabilityDto::Process => Durability::Process,
            },
            retention: match self.retention {
                RetentionDto::Discard => Retention::Discard,
                RetentionDto::Keep => Retention::Keep,
            },
            root_mode: self.root_mode.map(Mode::new).transpose()?,
            steps,
        })
    }
}

/// Whether a publication can have this list of steps; recovery handles no others.
fn are_known(form: Form, list: &[Step]) -> bool {
    match form {
        Form::Tree => {
            let of_tree = list.iter().all(|step| step.entry.is_none());
            let acts: Vec<Act> = list.iter().map(|step| step.act).collect();
            of_tree
                && matches!(
                    acts.as_slice(),
                    [Act::Put { .. } | Act::Exchange { .. } | Act::Take { .. }]
                        | [Act::Take { .. }, Act::Put { .. }]
                )
        }
        Form::Entries => {
            let entries: Vec<&EntrySlot> =
                list.iter().filter_map(|step| step.entry.as_ref()).collect();
            let mut slots: Vec<u32> = entries.iter().map(|entry| entry.slot).collect();
            slots.sort_unstable();
            let distinct = slots.windows(2).all(|pair| pair.first() != pair.last());
            let ours = entries.iter().all(|entry| may_move(&entry.path));
            entries.len() == list.len() && distinct && ours
        }
    }
}

/// The receipt is the only path in the engine's own directory that is ever moved.
fn may_move(path: &RelPath) -> bool {
    let mut components = path.components();
    let first = components.next().unwrap_or_default().to_lowercase();
    first != ENGINE_DIR
        || (path.components().next() == Some(ENGINE_DIR)
            && components.eq(std::iter::once(RECEIPT_NAME)))
}

impl<'a> StepDto<'a> {
    fn from_step(step: &'a Step) -> Self {
        let entry = step.entry.as_ref();
        Self {
            entry: entry.map(|entry| (entry.path.as_str().into(), entry.slot)),
            new: step.act.coming().map(IdentityDto::from_identity),
            old: step.act.going().map(IdentityDto::from_identity),
        }
    }

    fn into_step(self) -> Result<Step, RecordReadError> {
        let entry = self
            .entry
            .map(|(path, slot)| -> Result<_, RecordReadError> {
                let path = RelPath::new(&path)?;
                Ok(EntrySlot { path, slot })
            });
        let new = self.new.map(IdentityDto::into_identity);
        let old = self.old.map(IdentityDto::into_identity);
        let act = match (new, old) {
            (Some(new), None) => Act::Put { new },
            (Some(new), Some(old)) => Act::Exchange { new, old },
            (None, Some(old)) => Act::Take { old },
            (None, None) => return Err(RecordReadError::BadSteps),
        };
        let entry = entry.transpose()?;
        Ok(Step { entry, act })
    }
}

impl StepsDto<'_> {
    fn into_steps(self) -> Result<Steps, RecordReadError> {
        let list = match self.list {
            StepListDto::Written(list) => list.to_vec(),
            StepListDto::Read(list) => list?,
        };
        let receipt = self.receipt.as_deref().map(Digest::parse);
        Ok(Steps {
            list,
            receipt: receipt.transpose()?,
            verdict: match self.verdict {
                VerdictDto::Taken => Verdict::BySteps,
                VerdictDto::Awaited => Verdict::Awaited,
            },
        })
    }
}

impl IdentityDto {
    fn from_identity(identity: Identity) -> Self {
        Self {
            inode: identity.inode,
            birth: identity.birth.map(|birth| (birth.seconds, birth.nanos)),
        }
    }

    fn into_identity(self) -> Identity {
        Identity {
            inode: self.inode,
            birth: self.birth.map(|(seconds, nanos)| Birth { seconds, nanos }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(form: Form, list: Vec<Step>) -> Record {
        Record {
            plan: Digest::of(b"plan"),
            token: "Ab3".into(),
            generation: 2,
            form,
            origin: Origin::Built,
            stage: Identity {
                inode: 7,
                birth: Some(Birth {
                    seconds: 8,
                    nanos: 9,
                }),
            },
            boot: "boot".into(),
            durability: Durability::Power,
            retention: Retention::Discard,
            root_mode: None,
            steps: Steps {
                list,
                receipt: Some(Digest::of(b"receipt")),
                verdict: Verdict::BySteps,
            },
        }
    }

    const NEW: Identity = Identity {
        inode: 7,
        birth: Some(Birth {
            seconds: 8,
            nanos: 9,
        }),
    };
    const OLD: Identity = Identity {
        inode: 3,
        birth: None,
    };

    fn whole(acts: &[Act]) -> Vec<Step> {
        let step = |act: &Act| Step {
            entry: None,
            act: *act,
        };
        acts.iter().map(step).collect()
    }

    fn of_entries(entries: &[(&str, u32)]) -> Vec<Step> {
        let step = |(path, slot): &(&str, u32)| Step {
            entry: Some(EntrySlot {
                path: RelPath::new(path).unwrap(),
                slot: *slot,
            }),
            act: Act::Exchange { new: NEW, old: OLD },
        };
        entries.iter().map(step).collect()
    }

    fn check_golden(golden: &[u8], record: &Record) {
        let text = String::from_utf8(record.to_bytes()).unwrap();
        assert_eq!(text, std::str::from_utf8(golden).unwrap());
        assert_eq!(Record::from_bytes(golden).unwrap(), *record);
    }

    /// I1: every version of the journal stays readable.
    #[test]
    fn the_golden_records_are_read_and_written_unchanged() {
        let steps = whole(&[Act::Take { old: OLD }, Act::Put { new: NEW }]);
        let golden = include_bytes!("../../tests/golden/journal-1");
        check_golden(golden, &record(Form::Tree, steps));
        let steps = of_entries(&[("bin/python", 0), (".rvenv/receipt.json", 1)]);
        let golden = include_bytes!("../../tests/golden/journal-1-entries");
        check_golden(golden, &record(Form::Entries, steps));
        let steps = whole(&[Act::Exchange { new: NEW, old: OLD }]);
        let golden = include_bytes!("../../tests/golden/journal-1-root-mode");
        let replaces = Record {
            root_mode: Mode::new(0o750).ok(),
            ..record(Form::Tree, steps)
        };
        check_golden(golden, &replaces);
    }

    /// I7: an incomplete record is never accepted as a whole one.
    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = record(Form::Tree, whole(&[Act::Exchange { new: NEW, old: OLD }])).to_bytes();
        for end in 0..bytes.len() {
            assert!(
                matches!(
                    Record::from_bytes(&bytes[..end]),
                    Err(RecordReadError::Torn)
                ),
                "cut at {end}"
            );
        }
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(Record::from_bytes(&changed).is_err(), "changed at {index}");
        }
        assert!(Record::from_bytes(&vec![0; bytes.len()]).is_err());
    }

    /// I6: a right checksum does not make a hostile record acceptable.
    #[test]
    fn a_record_that_names_strangers_or_unknown_steps_is_refused() {
        let mut hostile = record(Form::Tree, whole(&[Act::Put { new: NEW }]));
        hostile.token = "../x".into();
        assert!(matches!(
            Record::from_bytes(&hostile.to_bytes()),
            Err(RecordReadError::BadToken(_))
        ));
        let put = Act::Put { new: NEW };
        for (form, list) in [
            (Form::Tree, vec![]),
            (Form::Tree, whole(&[put, put])),
            (
                Form::Tree,
                whole(&[Act::Take { old: OLD }, Act::Take { old: OLD }]),
            ),
            (Form::Tree, of_entries(&[("a", 0)])),
            (Form::Entries, whole(&[put])),
            (Form::Entries, of_entries(&[("a", 0), ("b", 0)])),
            (Form::Entries, of_entries(&[(".rvenv/old-1", 0)])),
            (Form::Entries, of_entries(&[(".RVENV", 0)])),
        ] {
            let bytes = record(form, list).to_bytes();
            assert!(matches!(
                Record::from_bytes(&bytes),
                Err(RecordReadError::BadSteps)
            ));
        }
        let text = "rvenv-journal 2 incompat=\n{}\n";
        let later = format!("{text}{}\n", Digest::of(text.as_bytes()));
        assert!(matches!(
            Record::from_bytes(later.as_bytes()),
            Err(RecordReadError::Unknown(_))
        ));
    }
}
