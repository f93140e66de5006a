//! A transactional filesystem engine with rollback.
//!
//! A directory tree, or what changes in one, is planned, built beside its place, and published by renames whose two
//! sides were written down beforehand: one of the whole tree, or one of each entry. Whatever goes wrong then, the tree is
//! the old one or the new one.
//!
//! - To replace or make a whole tree: [`PlanBuilder`], then [`Target::lock`] and the verbs that follow.
//! - To change a tree that stays where it is: the same, with [`Publication::Merge`] (what is planned comes, what is
//!   retired goes, all else stays) or [`Publication::Refill`] (what is not planned goes).
//! - To go back to what was replaced, and forward again: [`Retention::Keep`], then [`Ready::rollback`].
//! - To look at the new tree before deciding: [`Verdict::Awaited`], then [`Published::settle`] or
//!   [`Published::undo`].
//! - To end what a crash left: [`Target::lock`] does it before anything else; [`inspect`] only says what it would do.
//! - To compare a tree with what was published: [`Receipt`] and [`drift`]; to share content among trees: [`Store`].
//!
//! # Promises
//!
//! - **I1 Old or new.** After a failure, a kill at any instruction or a power cut, and then one more [`Target::lock`],
//!   the target is exactly the old tree or exactly the new one.
//! - **I2 Success is durable.** What [`Published::settle`] has returned survives a power cut, unless
//!   [`Durability::Process`] was asked for.
//! - **I3 Readers see whole things.** One switch of a tree; of entries one switch each, with nothing slower in between.
//!   Where the filesystem cannot exchange two names, there is a moment of absence.
//! - **I4 The plan is the execution.** Equal inputs give equal bytes; a plan that no longer fits is refused as stale.
//! - **I5 One way back.** A failed publication, [`Published::undo`] and recovery run the same code. Nothing deletes
//!   the last good tree; a tree or an entry that changed since it was published is kept.
//! - **I6 Strangers are safe.** Names come from the target, objects are known by their identity, links are not followed.
//! - **I7 Refuse rather than guess.** Evidence that fits no history of ours changes nothing.
//!
//! # Limits
//!
//! A mount point cannot be replaced as a whole, and no entry is moved on the way to, at, or above which something is
//! mounted. Between two switches of entries readers see some old and some new ones. What somebody writes, through a
//! handle that they held open, to something that was replaced goes where that goes. A generation brings back the entries
//! that it holds, not what was done beside them. Whoever holds an advisory lock on the target's directory keeps everybody out. Disks that lie about
//! flushes, machines that share a disk without sharing locks, and one directory mounted at two places are outside of
//! all promises. Without times of birth (some network and old filesystems) recovery keeps what it cannot identify.
//! A file is held in memory as a whole while it is staged.
//!
//! # Example
//!
//! A tree is replaced, looked at and taken back; then replaced for good.
//!
//! ```
//! use rvenv_journal::fs::real::RealFs;
//! use rvenv_journal::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = RealFs::new();
//! let place = tempfile::tempdir()?;
//! let path = place.path().canonicalize()?.join("site");
//! # std::fs::create_dir(&path)?;
//! # std::fs::write(path.join("page"), "old")?;
//! let page = path.join("page"); // holds "old"
//!
//! let new = Operation {
//!     stage: "pages".into(),
//!     group: None,
//!     node: Node::File {
//!         mode: Mode::SHARED_FILE,
//!         mtime: None,
//!         content: Content::Inline(b"new".to_vec()),
//!     },
//! };
//! let plan = |target: &Target<'_>| -> Result<Plan, Box<dyn std::error::Error>> {
//!     let text = target.path().to_str().ok_or("the path is not UTF-8")?;
//!     let mut builder = PlanBuilder::new(text, Mode::SHARED_DIR)?;
//!     builder.add(RelPath::new("page")?, new.clone())?;
//!     let seen = observe(&disk, target.place(), builder.operations(), builder.retired())?;
//!     Ok(builder.finish(seen, Publication::Swap)?)
//! };
//! let options = StageOptions {
//!     content: &NoContent,
//!     link_mode: LinkMode::Auto,
//!     interrupted: &|| false,
//! };
//! let mut pause = |_holder: &str| Patience::GiveUp;
//!
//! // Published, looked at, and taken back.
//! let target = Target::open(&disk, &path, Parents::Require)?;
//! let (ready, _recovered) = target.lock("example", &mut pause)?;
//! let first = plan(ready.target())?;
//! let terms = Terms { verdict: Verdict::Awaited, ..Terms::default() };
//! let published = ready.prepare(&first, terms, &NoContent)?.stage(&options)?.publish(&|| false)?;
//! assert_eq!(std::fs::read_to_string(&page)?, "new");
//! published.undo()?;
//! assert_eq!(std::fs::read_to_string(&page)?, "old");
//!
//! // Published for good: had the machine died at any moment, the next `lock` would have ended it.
//! let target = Target::open(&disk, &path, Parents::Require)?;
//! let (ready, _recovered) = target.lock("example", &mut pause)?;
//! let second = plan(ready.target())?;
//! let prepared = ready.prepare(&second, Terms::default(), &NoContent)?;
//! let ending = prepared.stage(&options)?.publish(&|| false)?.settle()?;
//! assert!(ending.kept.is_none());
//! assert_eq!(std::fs::read_to_string(&page)?, "new");
//! assert_eq!(std::fs::read_dir(place.path())?.count(), 1); // nothing is left beside it
//! # Ok(())
//! # }
//! ```
//!
//! # States
//!
//! Each state is a type, each arrow a method that takes one and returns the next.
//!
//! ```text
//! Target ──lock──▶ Ready ──prepare──▶ Prepared ──stage──▶ Staged ──publish──▶ Published ──settle──▶ Ending
//!                     └─────────────rollback─────────────────────────────────────────▲   └──undo──▶ Ending
//! ```
//!
//! # Words
//!
//! | word | what |
//! |---|---|
//! | *plan* | a pure value: what shall stand where, what must stand there before, and a digest |
//! | *prepare* | check the plan under the lock, make an empty stage that says whose it is |
//! | *stage* | build the new tree beside its place and make it durable |
//! | *step* | one atomic rename of one entry, or of the whole tree, with the identities on both sides |
//! | *slot* | the numbered place in the stage where the other half of an entry stands |
//! | *publish* | take the steps: the only thing that changes what readers see |
//! | *settle* | decided: keep or delete what was replaced, retire the journal |
//! | *undo* | take the steps back |
//! | *receipt* | what was published; it lives in the tree |
//! | *recover* | end what an earlier run left open |
//! | *verify* | compare a tree with its receipt |
//! | *generation* | what was replaced and kept: a tree, or the entries of one |
//!
//! Read next: `transaction/ready.rs` (the verbs), `recovery/decide.rs` (the table), `fs/interface.rs` (the
//! disk as a trait).

mod base;
pub mod fs;
mod place;
mod plan;
mod recovery;
mod staging;
mod steps;
mod store;
mod transaction;

pub use base::digest::{Digest, DigestError, Hasher};
pub use base::identity::{Birth, Identity};
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub use base::mutant;
pub use base::path::{
    COMPONENT_BYTES_MAX, DEPTH_MAX, PATH_BYTES_MAX, RelPath, RelPathError, escaped, paired,
};
pub use base::plural::{agreeing, counted};
pub use base::watch::{Deletion, Unwatched, Watch};
pub use fs::parallel::in_parallel;
pub use fs::privacy::{Exposed, check_private, exposed, open_private_dir, read_private_file};
pub use fs::remove::{Leftovers, remove_tree};
pub use fs::{Fs, FsError};
pub use place::journal_file::Siblings;
pub use place::lock::{LockError, Patience};
pub use place::names::{Direction, JournalName, Names, Sibling};
pub use place::record::{
    Act, Durability, EntrySlot, Form, Origin, Record, Retention, Step, Steps, Verdict,
};
pub use place::record_json::{RECORD_BYTES_MAX, RECORD_VERSION, RecordReadError};
pub use place::target::{Parents, Target, TargetError};
pub use plan::builder::{Plan, PlanBuilder, effect};
pub use plan::content::{
    ContentError, ContentSource, Custody, Examined, FILE_BYTES_MAX, Fetched, NoContent, Wanted,
};
pub use plan::drift::{Difference, Drift, drift};
pub use plan::error::PlanError;
pub use plan::json::{PLAN_BYTES_MAX, PLAN_FORMAT, PlanReadError};
pub use plan::node::{
    Content, ENGINE_DIR, Effect, Expected, Input, LINK_BYTES_MAX, Mode, ModeError, Node,
    Observation, Observed, Operation, Publication, RECEIPT_NAME,
};
pub use plan::observe::observe;
pub use plan::receipt::{
    PublishedPath, RECEIPT_BYTES_MAX, RECEIPT_FORMAT, Receipt, ReceiptReadError,
};
pub use plan::room::Shortage;
pub use recovery::decide::{Boot, Decision, Former, JournalSeen, Refusal, Upshot, decide};
pub use recovery::ending::{EndError, Ending, Kept, WhyKept};
pub use recovery::evidence::{Place, Sight, Taken};
pub use recovery::generation::{Generation, Size, generations};
pub use recovery::recover::{Inspection, RecoverError, Recovered, inspect};
pub use staging::build::{LinkMode, StageCounts, StageOptions};
pub use staging::error::StageError;
pub use staging::inheritance::Unlinked;
pub use steps::entry_cover::{CoverError, Grain};
pub use store::{
    Audit, Fault, Flaw, ObjectMeta, Pack, PackSource, Stock, Store, StoreError, Swept,
};
pub use transaction::failures::{
    Aftermath, EndFailed, PrepareError, PublishError, PublishFailed, ReadyError, StageFailed,
};
pub use transaction::preconditions::Stale;
pub use transaction::prepared::Prepared;
pub use transaction::published::Published;
pub use transaction::ready::Ready;
pub use transaction::rollback::{Changes, RollbackError, RollbackTerms};
pub use transaction::staged::Staged;
pub use transaction::terms::Terms;
