//! A transactional filesystem engine with rollback.

mod barrier;
mod content;
mod digest;
mod evidence;
pub mod fs;
mod identity;
mod journal;
mod lock;
mod names;
mod observe;
mod path;
mod plan;
mod plan_json;
mod receipt;
mod record;
mod recover;
mod recovery;
mod remove;
mod settle;
mod stage;
mod steps;
mod store;
mod target;
mod transaction;
mod verify;

pub use content::{ContentError, ContentSource, FILE_BYTES_MAX, Fetched, NoContent, Wanted};
pub use digest::{Digest, DigestError, Hasher};
pub use evidence::{Place, Sight, Taken};
pub use fs::{Fs, FsError};
pub use identity::{Birth, Identity};
pub use journal::Siblings;
pub use lock::{LockError, Patience};
pub use names::{Direction, JournalName, Names, Sibling};
pub use observe::{escaped, observe};
pub use path::{COMPONENT_BYTES_MAX, DEPTH_MAX, PATH_BYTES_MAX, RelPath, RelPathError};
pub use plan::{
    Content, ENGINE_DIR, Effect, Expected, Input, LINK_BYTES_MAX, Mode, Node, Observation,
    Observed, Operation, Plan, PlanBuilder, PlanError, Publication,
};
pub use plan_json::{PLAN_BYTES_MAX, PLAN_FORMAT, PlanReadError};
pub use receipt::{
    Published as PublishedPath, RECEIPT_BYTES_MAX, RECEIPT_FORMAT, RECEIPT_NAME, Receipt,
    ReceiptReadError,
};
pub use record::{
    Durability, RECORD_BYTES_MAX, RECORD_VERSION, Record, RecordReadError, Retention, Step, Steps,
    Verdict,
};
pub use recover::{Inspection, RecoverError, Recovered, inspect};
pub use recovery::{Boot, Decision, JournalSeen, Refusal, decide};
pub use remove::Leftovers;
pub use settle::{EndError, Ending, Kept, WhyKept};
pub use stage::{LinkMode, StageCounts, StageError, StageOptions};
pub use store::{ObjectMeta, Pack, PackSource, Store, StoreError, open_or_make};
pub use target::{Parents, Target, TargetError};
pub use transaction::{
    Aftermath, EndFailed, PrepareError, Prepared, PublishError, PublishFailed, Published, Ready,
    ReadyError, StageFailed, Staged, Stale, Terms,
};
pub use verify::{Difference, Drift, drift};
