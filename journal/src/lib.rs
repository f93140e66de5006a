//! A transactional filesystem engine with rollback.
//!
//! The engine plans a directory tree, or changes to one, builds the new tree or entries beside the
//! target, and publishes them by renames: one for the whole tree, or one per entry. Both sides of
//! each rename are recorded beforehand. Whatever fails after that, the tree is the old one or the
//! new one.
//!
//! - To create or replace a whole tree: [`PlanBuilder`], then [`Target::lock`] and the methods that
//!   follow.
//! - To change a tree in place: the same, with [`Publication::Merge`] (planned entries come,
//!   retired ones go, all others stay) or [`Publication::Refill`] (everything that is not planned
//!   goes).
//! - To return to a replaced tree, and forward again: [`Retention::Keep`], then
//!   [`Ready::rollback`].
//! - To take a whole tree away, and to delete it or keep it for a rollback: [`Ready::remove`].
//! - To check the new tree before deciding: [`Verdict::Awaited`], then [`Published::settle`] or
//!   [`Published::undo`].
//! - To finish what a crash left: [`Target::lock`] does it before anything else; [`inspect`] only
//!   reports what it would do.
//! - To compare a tree with what was published: [`Receipt`] and [`drift`]; to share content among
//!   trees: [`Store`].
//!
//! # Promises
//!
//! - **I1 Old or new.** After a failure, a kill at any instruction or a power cut, and then one
//!   more [`Target::lock`], the target is exactly the old tree or exactly the new one.
//! - **I2 Success is durable.** Once [`Published::settle`] has returned, its result survives a
//!   power cut, unless the caller chose [`Durability::Process`].
//! - **I3 Readers see whole things.** A tree changes in one rename. Entries change in one rename
//!   each, with nothing slower in between. If the filesystem cannot exchange two names, the name is
//!   absent for a moment.
//! - **I4 The plan is the execution.** Equal inputs give equal bytes; a plan that no longer fits is
//!   refused as stale.
//! - **I5 One way back.** A failed publication, [`Published::undo`] and recovery run the same code.
//!   Nothing deletes the last good tree; a tree or an entry that changed since it was published is
//!   kept.
//! - **I6 Strangers are safe.** Names are derived from the target, objects are recognised by their
//!   identity, links are not followed.
//! - **I7 Refuse rather than guess.** Evidence that no known history explains changes nothing.
//!
//! # Limits
//!
//! A mount point cannot be replaced as a whole. An entry is not moved if it is, contains or lies
//! below a mount point inside the target. Between the steps of two entries readers see some old and
//! some new entries. A process that holds a replaced file open writes to the replaced file.
//! Restoring a generation moves its entries and those that the caller names, no others. A process
//! that holds an advisory lock on the target's directory keeps all others out. The promises do not
//! cover disks that lie about flushes, machines that share a disk without sharing locks, and one
//! directory mounted at two places. Without birth times (some network and old filesystems) recovery
//! keeps what it cannot identify. A file is in memory as a whole while it is staged.
//!
//! # Example
//!
//! A tree is replaced, checked and restored; then it is replaced for good.
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
//!     part: "pages".into(),
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
//!     Ok(builder.finish(seen, Publication::Replace)?)
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
//! // Published for good: had the machine died at any moment, the next `lock` would have finished
//! // or undone the publication.
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
//! Each state is a type. Each arrow is a method that consumes one state and returns the next.
//!
//! ```text
//! Target ─lock─▶ Ready ─prepare─▶ Prepared ─stage─▶ Staged ─publish─▶ Published ─settle─▶ Ending
//!                  └────────────────rollback, remove────────────────────▲   └─undo─▶ Ending
//! ```
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | *target* | the path that a transaction publishes to |
//! | *plan* | a pure value: what will exist, what must exist before, and a digest of both |
//! | *operation* | one planned path: a directory, a file or a link |
//! | *receipt* | the list of what was published; it is a file in the published tree |
//! | *prepare* | to check the plan under the lock and create an empty stage |
//! | *stage* | the private directory in which the new tree or the new entries are built |
//! | *entry* | a file, a link or a whole directory that changes with one rename |
//! | *slot* | a numbered name in the stage: the new entry, and after its step the replaced one |
//! | *step* | one atomic rename with the identities on both sides: a put, an exchange or a take |
//! | *put* | a step that renames a new object to a name that is absent |
//! | *exchange* | a step that exchanges the names of the new object and the old one |
//! | *take* | a step that renames an old object away; without an exchange, a put follows |
//! | *publish* | to do the renames of all steps; nothing else changes what readers see |
//! | *record* | the value that describes an open publication: its steps and identities |
//! | *journal* | the file that holds a record; its name says how far the transaction is |
//! | *settle* | to make a publication final: keep or delete what was replaced, remove the journal |
//! | *undo* | to reverse the steps of a publication that is not settled |
//! | *verdict* | when recovery may settle: once all steps are taken, or after the caller's checks |
//! | *doubt* | the state after an fsync failed: what is on disk is unknown until the next boot |
//! | *recover* | to finish or undo what an earlier run left open |
//! | *generation* | a replaced tree, or replaced entries, that was kept |
//! | *rollback* | to publish a generation again; what it replaces becomes a generation |
//! | *trash* | what a settled publication is deleting; its name contains its identity |
//! | *identity* | inode number and birth time (btime) of an object |
//!
//! # Names
//!
//! The root has what a caller writes: at most 45 names, each in the example above or in
//! `journal/examples/` (`site.rs` publishes and rolls back a directory, `checked.rs` checks a
//! change and explains failures, `shared.rs` uses a store). [`fs`] has the disk as a trait. [`raw`]
//! has the rest, without any promise that it stays.
//!
//! Read next: `transaction/ready.rs` (the methods), `recovery/decide.rs` (the table),
//! `fs/interface.rs` (the disk as a trait).

mod base;
pub mod fs;
mod place;
mod plan;
pub mod raw;
mod recovery;
mod staging;
mod steps;
mod store;
mod transaction;

pub use base::digest::Digest;
pub use base::path::RelPath;
pub use fs::{Fs, FsError};
pub use place::lock::Patience;
pub use place::record::{Durability, Retention, Verdict};
pub use place::target::{Parents, Target};
pub use plan::builder::{Plan, PlanBuilder};
pub use plan::content::{ContentError, ContentSource, Fetched, NoContent, Wanted};
pub use plan::drift::drift;
pub use plan::node::{Content, Mode, Node, Operation, Publication};
pub use plan::observe::observe;
pub use plan::receipt::Receipt;
pub use recovery::generation::generations;
pub use recovery::recover::{Recovered, inspect};
pub use staging::build::StageOptions;
pub use staging::link_mode::LinkMode;
pub use store::{ObjectMeta, PackSource, Store, StoreError};
pub use transaction::failures::{
    Aftermath, EndFailed, PrepareError, PublishFailed, ReadyError, RollbackError, StageFailed,
};
pub use transaction::published::Published;
pub use transaction::ready::Ready;
pub use transaction::rollback::RollbackTerms;
pub use transaction::terms::Terms;
