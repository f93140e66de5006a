//! The names of everything that the engine keeps, beside a target or in its own directory inside
//! it.
//!
//! Promises that beside a target every such name begins with `.N.rvenv.`, so that one listing of
//! the parent finds them all, and that a name is parsed as exactly what it was written for, or not
//! at all (I6).
//!
//! `N` is shortened and hashed if the names would exceed the filesystem's limit.
//! Read next: `place/journal_file.rs`, `recovery/evidence.rs`.

use crate::base::digest::Digest;
use crate::base::identity::Identity;

/// Bytes of `N` that are kept; the longest suffix then still fits into 255 bytes.
const NAME_BYTES_MAX: usize = 120;

/// In which direction a decided publication goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The new tree stays.
    Settle,
    /// The old tree comes back.
    Undo,
}

/// The state of a journal, which is encoded in its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JournalName {
    /// Written, but recovery does not need it: a lone put is its own decision, and its stage proves
    /// its owner.
    Draft,
    /// Undecided.
    Open,
    /// Decided.
    Decided(Direction),
    /// An fsync failed after the steps, during the boot that is named.
    Doubt(Direction, String),
}

/// What a name beside the target denotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sibling {
    /// The lock file.
    Lock,
    /// The journal of an open transaction.
    Journal(JournalName),
    /// A journal that is being written.
    JournalDraft,
    /// A staged tree and its token, which is its identity if it has one; after an exchange, the
    /// replaced tree.
    Stage(String),
    /// A kept generation.
    Generation(u32),
    /// The record of a kept generation.
    GenerationRecord(u32),
    /// Something being deleted, and the identity in its name.
    Trash(String),
    /// A name that begins like the engine's but is not one of them.
    Unknown,
}

/// The names beside one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// The names for the target `name`.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if name.len() <= NAME_BYTES_MAX {
            return Self {
                prefix: format!(".{name}.rvenv."),
            };
        }
        let end = (0..=NAME_BYTES_MAX - 17)
            .rev()
            .find(|end| name.is_char_boundary(*end))
            .unwrap_or(0);
        let kept = name.get(..end).unwrap_or("");
        let hash = Digest::of(name.as_bytes()).to_string();
        Self {
            prefix: format!(".{kept}~{}.rvenv.", hash.get(..16).unwrap_or(&hash)),
        }
    }

    /// The names in the engine's directory inside a target.
    #[must_use]
    pub fn inside() -> Self {
        Self {
            prefix: String::new(),
        }
    }

    /// The lock file.
    #[must_use]
    pub fn lock(&self) -> String {
        format!("{}lock", self.prefix)
    }

    /// The name of a journal while it is written.
    #[must_use]
    pub fn journal_draft(&self) -> String {
        format!("{}journal.tmp", self.prefix)
    }

    /// The name of a journal in a state.
    #[must_use]
    pub fn journal(&self, state: &JournalName) -> String {
        let direction = |direction: &Direction| match direction {
            Direction::Settle => "settle",
            Direction::Undo => "undo",
        };
        match state {
            JournalName::Draft => self.journal_draft(),
            JournalName::Open => format!("{}journal", self.prefix),
            JournalName::Decided(to) => format!("{}journal.{}", self.prefix, direction(to)),
            JournalName::Doubt(to, boot) => {
                format!("{}journal.doubt-{}-{boot}", self.prefix, direction(to))
            }
        }
    }

    /// The prefix of a staged tree's name; while the tree is empty a random token follows.
    #[must_use]
    pub fn stage_prefix(&self) -> String {
        format!("{}new-", self.prefix)
    }

    /// The name of the staged tree with this token.
    #[must_use]
    pub fn stage(&self, token: &str) -> String {
        format!("{}new-{token}", self.prefix)
    }

    /// The name of the kept generation with this number.
    #[must_use]
    pub fn generation(&self, number: u32) -> String {
        format!("{}old-{number}", self.prefix)
    }

    /// The name of the record of the kept generation with this number.
    #[must_use]
    pub fn generation_record(&self, number: u32) -> String {
        format!("{}old-{number}.journal", self.prefix)
    }

    /// The prefix of the name of trash; the identity follows.
    #[must_use]
    pub fn trash_prefix(&self) -> String {
        format!("{}trash-", self.prefix)
    }

    /// The name of an object that is being deleted; it contains the identity that the object must
    /// have.
    #[must_use]
    pub fn trash(&self, identity: Identity) -> String {
        format!("{}trash-{identity}", self.prefix)
    }

    /// What a name in the parent denotes; `None` for names that do not belong to this target.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<Sibling> {
        let rest = name.strip_prefix(&self.prefix)?;
        let sibling = match rest {
            "lock" => Sibling::Lock,
            "journal" => Sibling::Journal(JournalName::Open),
            "journal.tmp" => Sibling::JournalDraft,
            "journal.settle" => Sibling::Journal(JournalName::Decided(Direction::Settle)),
            "journal.undo" => Sibling::Journal(JournalName::Decided(Direction::Undo)),
            // The engine's directory also contains the receipt and files that no transaction uses.
            _ if self.prefix.is_empty() && !is_of_transactions(rest) => return None,
            _ => read_numbered(rest).unwrap_or(Sibling::Unknown),
        };
        Some(sibling)
    }
}

fn is_of_transactions(name: &str) -> bool {
    let begins = ["journal", "new-", "old-", "trash-"];
    begins.iter().any(|begin| name.starts_with(begin))
}

fn read_numbered(rest: &str) -> Option<Sibling> {
    let doubt = |boot: &str, to| Sibling::Journal(JournalName::Doubt(to, boot.to_owned()));
    if let Some(boot) = rest.strip_prefix("journal.doubt-settle-") {
        return Some(doubt(boot, Direction::Settle));
    }
    if let Some(boot) = rest.strip_prefix("journal.doubt-undo-") {
        return Some(doubt(boot, Direction::Undo));
    }
    if let Some(token) = rest.strip_prefix("new-") {
        return Some(Sibling::Stage(token.to_owned()));
    }
    if let Some(identity) = rest.strip_prefix("trash-") {
        return Some(Sibling::Trash(identity.to_owned()));
    }
    let old = rest.strip_prefix("old-")?;
    match old.strip_suffix(".journal") {
        Some(number) => Some(Sibling::GenerationRecord(read_number(number)?)),
        None => Some(Sibling::Generation(read_number(old)?)),
    }
}

/// Accepts one spelling per number, so that writing the number gives the same name again.
fn read_number(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .filter(|number: &u32| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I6: a name is parsed as what it was written for.
    #[test]
    fn every_name_is_read_back_as_what_it_was_written_for() {
        let targets = [".venv", "e", &"x".repeat(255), &"é".repeat(127)];
        let beside = targets.map(Names::of);
        for names in beside.into_iter().chain([Names::inside()]) {
            let identity = Identity {
                inode: u64::MAX,
                birth: Some(crate::base::identity::Birth {
                    seconds: i64::MAX,
                    nanos: 999_999_999,
                }),
            };
            let boot = "0".repeat(36);
            let states = [
                JournalName::Open,
                JournalName::Decided(Direction::Settle),
                JournalName::Decided(Direction::Undo),
                JournalName::Doubt(Direction::Settle, boot.clone()),
                JournalName::Doubt(Direction::Undo, boot),
            ];
            let mut all: Vec<_> = states
                .into_iter()
                .map(|state| (names.journal(&state), Sibling::Journal(state)))
                .collect();
            all.push((names.lock(), Sibling::Lock));
            all.push((names.journal_draft(), Sibling::JournalDraft));
            all.push((names.stage("aB3"), Sibling::Stage("aB3".into())));
            all.push((names.generation(7), Sibling::Generation(7)));
            all.push((
                names.generation_record(u32::MAX),
                Sibling::GenerationRecord(u32::MAX),
            ));
            all.push((names.trash(identity), Sibling::Trash(identity.to_string())));
            for (name, sibling) in all {
                assert!(name.len() <= 255, "{name}");
                assert_eq!(names.read(&name), Some(sibling), "{name}");
            }
            assert_eq!(names.read("other"), None);
            assert_eq!(names.read("receipt.json"), None);
            assert_eq!(
                names.read(&names.generation(7).replace('7', "07")),
                Some(Sibling::Unknown)
            );
        }
    }

    #[test]
    fn long_names_that_differ_at_their_ends_have_different_siblings() {
        let one = format!("{}1", "x".repeat(200));
        let two = format!("{}2", "x".repeat(200));
        assert_ne!(Names::of(&one), Names::of(&two));
    }
}
