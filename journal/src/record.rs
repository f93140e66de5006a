//! The record: what a journal says of the publication that it belongs to.
//!
//! Promises that bytes which were torn, edited or written by a later version are recognised, and that a
//! record which is accepted names only the siblings of its own target (I6): the names are derived from the
//! target and the token, never read.
//! Does not promise that the disk still looks as the record says; `evidence.rs` looks.
//!
//! The byte form is three lines: the header (magic, version, `incompat` features), canonical JSON, and the
//! SHA-256 of both. The first part has no steps; the second part replaces it once everything is staged.
//!
//! Read next: `journal.rs`, `recovery.rs`.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{Digest, DigestError};
use crate::identity::{Birth, Identity};
use crate::names::Direction;

const MAGIC: &str = "rvenv-journal";
/// The version of the record that this code reads and writes.
pub const RECORD_VERSION: u64 = 1;
/// Bytes that a record may have.
pub const RECORD_BYTES_MAX: u64 = 1 << 20;

/// What survives what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Success survives a power cut.
    #[default]
    Power,
    /// Success survives the death of the process; a power cut may leave neither the old nor the new tree.
    Process,
}

/// When a publication is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All steps taken is the decision: recovery settles.
    Taken,
    /// Somebody still has to look at the published tree: until then recovery undoes.
    Awaited,
}

impl Verdict {
    /// Where a publication goes whose steps were all taken and of which nothing more is known.
    pub(crate) fn direction(self) -> Direction {
        match self {
            Self::Taken => Direction::Settle,
            Self::Awaited => Direction::Undo,
        }
    }
}

/// What becomes of what a publication replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retention {
    /// It is deleted once the publication is decided.
    #[default]
    Discard,
    /// It is kept as a generation.
    Keep,
}

/// One atomic rename of one entry, with the identities on both sides; each has its inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The staged tree goes to the absent target.
    Put,
    /// The staged tree and the target change places.
    Swap {
        /// The tree at the target.
        old: Identity,
    },
    /// The target goes to the generation `K`.
    Take {
        /// The tree at the target.
        old: Identity,
    },
}

/// The second part of a record: everything is staged, these steps publish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The steps in their order.
    pub list: Vec<Step>,
    /// SHA-256 of the receipt in the staged tree.
    pub receipt: Digest,
    /// When the publication is decided.
    pub verdict: Verdict,
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Digest of the plan.
    pub plan: Digest,
    /// X: the random part of the stage's name.
    pub token: String,
    /// K: the number that what is replaced gets, should it be kept.
    pub generation: u32,
    /// The staged tree's root.
    pub stage: Identity,
    /// The start of the machine in which the record was written.
    pub boot: String,
    /// What the publication promises to survive.
    pub durability: Durability,
    /// What becomes of what is replaced.
    pub retention: Retention,
    /// The second part.
    pub steps: Option<Steps>,
}

/// Why bytes are not a record.
#[derive(Debug, Error)]
pub enum RecordReadError {
    /// Cut short, NUL-filled, or with a wrong checksum: what a power cut leaves of a file that was not synced.
    #[error("the journal's checksum is wrong: it was torn or changed")]
    Torn,
    /// Another version, or a feature that must be understood and is not.
    #[error("the journal is of a version or has a feature that this program does not know: `{0}`")]
    Unknown(String),
    /// A right checksum over something that is no record.
    #[error("the journal does not hold a record")]
    Syntax(#[source] serde_json::Error),
    /// A digest that is none.
    #[error(transparent)]
    BadDigest(#[from] DigestError),
    /// A token that could lead to names other than our own.
    #[error("the journal names a stage `{0}` that is none of ours")]
    BadToken(String),
    /// A list of steps that no publication has.
    #[error("the journal has steps that no publication has")]
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
        let value = serde_json::to_value(dto).expect("strings and numbers serialize");
        let text = format!("{MAGIC} {RECORD_VERSION} incompat=\n{value}\n");
        let sum = Digest::of(text.as_bytes());
        format!("{text}{sum}\n").into_bytes()
    }

    /// Reads what [`Record::to_bytes`] wrote.
    ///
    /// # Errors
    /// Everything but such bytes; never a panic, whatever they are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordReadError> {
        let text = std::str::from_utf8(bytes).map_err(|_| RecordReadError::Torn)?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [header, json, sum, ""] = lines.as_slice() else {
            return Err(RecordReadError::Torn);
        };
        let summed = format!("{header}\n{json}\n");
        if Digest::parse(sum).ok() != Some(Digest::of(summed.as_bytes())) {
            return Err(RecordReadError::Torn);
        }
        if *header != format!("{MAGIC} {RECORD_VERSION} incompat=") {
            return Err(RecordReadError::Unknown(
                header
                    .chars()
                    .take(80)
                    .collect::<String>()
                    .escape_debug()
                    .to_string(),
            ));
        }
        let dto: RecordDto = serde_json::from_str(json).map_err(RecordReadError::Syntax)?;
        dto.into_record()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordDto {
    plan: String,
    token: String,
    generation: u32,
    stage: IdentityDto,
    boot: String,
    durability: DurabilityDto,
    retention: RetentionDto,
    steps: Option<StepsDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityDto {
    inode: u64,
    birth: Option<(i64, u32)>,
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
struct StepsDto {
    list: Vec<StepDto>,
    receipt: String,
    verdict: VerdictDto,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VerdictDto {
    Taken,
    Awaited,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum StepDto {
    Put,
    Swap { old: IdentityDto },
    Take { old: IdentityDto },
}

impl RecordDto {
    fn from_record(record: &Record) -> Self {
        let step = |step: &Step| match step {
            Step::Put => StepDto::Put,
            Step::Swap { old } => StepDto::Swap {
                old: IdentityDto::from_identity(*old),
            },
            Step::Take { old } => StepDto::Take {
                old: IdentityDto::from_identity(*old),
            },
        };
        let steps = record.steps.as_ref().map(|steps| StepsDto {
            list: steps.list.iter().map(step).collect(),
            receipt: steps.receipt.to_string(),
            verdict: match steps.verdict {
                Verdict::Taken => VerdictDto::Taken,
                Verdict::Awaited => VerdictDto::Awaited,
            },
        });
        Self {
            plan: record.plan.to_string(),
            token: record.token.clone(),
            generation: record.generation,
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
            steps,
        }
    }

    fn into_record(self) -> Result<Record, RecordReadError> {
        let token_is_ours = !self.token.is_empty()
            && self.token.len() <= 64
            && self.token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !token_is_ours {
            return Err(RecordReadError::BadToken(
                self.token.escape_debug().to_string(),
            ));
        }
        Ok(Record {
            plan: Digest::parse(&self.plan)?,
            token: self.token,
            generation: self.generation,
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
            steps: self.steps.map(StepsDto::into_steps).transpose()?,
        })
    }
}

impl StepsDto {
    fn into_steps(self) -> Result<Steps, RecordReadError> {
        let step = |step: StepDto| match step {
            StepDto::Put => Step::Put,
            StepDto::Swap { old } => Step::Swap {
                old: old.into_identity(),
            },
            StepDto::Take { old } => Step::Take {
                old: old.into_identity(),
            },
        };
        let list: Vec<Step> = self.list.into_iter().map(step).collect();
        // These three are all that a tree can be published by; recovery reasons about nothing else.
        let known = matches!(
            list.as_slice(),
            [Step::Put | Step::Swap { .. }] | [Step::Take { .. }, Step::Put]
        );
        if !known {
            return Err(RecordReadError::BadSteps);
        }
        let verdict = match self.verdict {
            VerdictDto::Taken => Verdict::Taken,
            VerdictDto::Awaited => Verdict::Awaited,
        };
        Ok(Steps {
            list,
            receipt: Digest::parse(&self.receipt)?,
            verdict,
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

    fn record(list: Vec<Step>) -> Record {
        Record {
            plan: Digest::of(b"plan"),
            token: "Ab3".into(),
            generation: 2,
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
            steps: Some(Steps {
                list,
                receipt: Digest::of(b"receipt"),
                verdict: Verdict::Taken,
            }),
        }
    }

    const OLD: Identity = Identity {
        inode: 3,
        birth: None,
    };

    /// I1: every version of the journal stays readable.
    #[test]
    fn the_golden_record_is_read_and_written_unchanged() {
        let golden = include_bytes!("../tests/golden/journal-1");
        let record = record(vec![Step::Take { old: OLD }, Step::Put]);
        assert_eq!(
            String::from_utf8(record.to_bytes()).unwrap(),
            std::str::from_utf8(golden).unwrap()
        );
        assert_eq!(Record::from_bytes(golden).unwrap(), record);
    }

    /// I7: a record that is not whole is never taken for one.
    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = record(vec![Step::Swap { old: OLD }]).to_bytes();
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

    /// I6: a right checksum does not make a hostile record ours.
    #[test]
    fn a_record_that_names_strangers_or_unknown_steps_is_refused() {
        let mut hostile = record(vec![Step::Put]);
        hostile.token = "../x".into();
        assert!(matches!(
            Record::from_bytes(&hostile.to_bytes()),
            Err(RecordReadError::BadToken(_))
        ));
        for list in [
            vec![],
            vec![Step::Put, Step::Put],
            vec![Step::Take { old: OLD }],
        ] {
            let bytes = record(list).to_bytes();
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
