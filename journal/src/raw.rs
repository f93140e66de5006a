//! Parts of the engine for the product in this workspace, its tests and its fuzzers.
//!
//! Nothing here is stable: a name may change or vanish in any release. The root of the crate has
//! everything that its users need.

pub use crate::base::digest::{DigestError, Hasher};
pub use crate::base::identity::{Birth, Identity};
pub use crate::base::path::{COMPONENT_BYTES_MAX, DEPTH_MAX, PATH_BYTES_MAX, escaped, paired};
pub use crate::base::plural::{agreeing, counted};
pub use crate::base::watch::{Deletion, Unwatched};
pub use crate::fs::parallel::in_parallel;
pub use crate::fs::privacy::{
    Exposed, check_private, exposed, open_private_dir, read_private_file,
};
pub use crate::fs::remove::{Leftovers, remove_tree};
pub use crate::place::journal_file::Siblings;
pub use crate::place::names::{Direction, JournalName, Names, Sibling};
pub use crate::place::record::{Act, EntrySlot, Form, Origin, Record, Steps};
pub use crate::place::record_json::{RECORD_BYTES_MAX, RECORD_VERSION, RecordReadError};
pub use crate::plan::builder::effect;
pub use crate::plan::content::{Custody, Examined, FILE_BYTES_MAX, Owner};
pub use crate::plan::json::{PLAN_BYTES_MAX, PLAN_FORMAT, PlanReadError};
pub use crate::plan::node::{ENGINE_DIR, Effect, LINK_BYTES_MAX, ModeError, RECEIPT_NAME};
pub use crate::plan::receipt::{RECEIPT_BYTES_MAX, RECEIPT_FORMAT, ReceiptReadError};
pub use crate::plan::room::Shortage;
pub use crate::recovery::decide::{Boot, Decision, Former, JournalSeen, Refusal, Upshot, decide};
pub use crate::recovery::ending::WhyKept;
pub use crate::recovery::evidence::{Place, Sight, Taken};
pub use crate::recovery::generation::Size;
pub use crate::staging::inheritance::Unlinked;
pub use crate::steps::entry_cover::CoverError;
pub use crate::store::{Audit, Fault, Flaw, Stock, Swept};
pub use crate::transaction::preconditions::Stale;
