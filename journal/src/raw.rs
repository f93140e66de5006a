//! Parts of the engine for the product in this workspace, its tests and its fuzzers.
//!
//! Nothing here is stable: a name may change or vanish in any release. The root of the crate has
//! every name that a user of the engine writes, and only names that a doctest or an example uses.
//! Here are also types that a call returns and that callers seldom name: a state, a report, the
//! reason inside a failure.

pub use crate::base::digest::{DigestError, Hasher};
pub use crate::base::identity::{Birth, Identity};
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub use crate::base::mutant;
pub use crate::base::path::{
    COMPONENT_BYTES_MAX, DEPTH_MAX, PATH_BYTES_MAX, RelPathError, escaped, paired,
};
pub use crate::base::plural::{agreeing, counted};
pub use crate::base::watch::{Deletion, Unwatched, Watch};
pub use crate::fs::error_place::DiskError;
pub use crate::fs::parallel::in_parallel;
pub use crate::fs::privacy::{
    Exposed, check_private, exposed, open_private_dir, read_private_file,
};
pub use crate::fs::remove::{Leftovers, remove_tree};
pub use crate::place::journal_file::Siblings;
pub use crate::place::lock::LockError;
pub use crate::place::names::{Direction, JournalName, Names, Sibling};
pub use crate::place::record::{Act, EntrySlot, Form, Origin, Record, Step, Steps};
pub use crate::place::record_json::{RECORD_BYTES_MAX, RECORD_VERSION, RecordReadError};
pub use crate::place::target::TargetError;
pub use crate::plan::builder::effect;
pub use crate::plan::content::{
    Custody, Examined, FILE_BYTES_MAX, Owner, PourError, WHOLE_BYTES_MAX, WriteContent,
};
pub use crate::plan::drift::{Difference, Drift};
pub use crate::plan::error::PlanError;
pub use crate::plan::json::{PLAN_BYTES_MAX, PLAN_FORMAT, PlanNotes, PlanReadError};
pub use crate::plan::node::{
    Attestation, ENGINE_DIR, Effect, Expected, Input, LINK_BYTES_MAX, ModeError, Observation,
    Observed, PublishedPath, RECEIPT_NAME, Statement, is_same_mode,
};
pub use crate::plan::observe::observe_paths;
pub use crate::plan::receipt::{RECEIPT_BYTES_MAX, RECEIPT_FORMAT, ReceiptReadError};
pub use crate::plan::room::Shortage;
pub use crate::recovery::decide::{Boot, Decision, Former, JournalSeen, Refusal, Upshot, decide};
pub use crate::recovery::ending::{EndError, Ending, Kept, WhyKept};
pub use crate::recovery::evidence::{Location, Sight, StepsTaken};
pub use crate::recovery::generation::{Generation, Size};
pub use crate::recovery::recover::{Inspection, RecoverError, is_tidy};
pub use crate::staging::build::StageCounts;
pub use crate::staging::error::StageError;
pub use crate::staging::inheritance::Unlinked;
pub use crate::steps::entry_cover::{CoverError, Grain};
pub use crate::store::{Audit, Fault, Flaw, NewPack, Pack, Stock, Swept};
pub use crate::transaction::discard::DiscardError;
pub use crate::transaction::failures::PublishError;
pub use crate::transaction::preconditions::{Stale, stale, stale_inputs};
pub use crate::transaction::prepared::Prepared;
pub use crate::transaction::removal::{RemoveError, check_removal};
pub use crate::transaction::staged::Staged;
