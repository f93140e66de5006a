//! A transactional filesystem engine with rollback.

mod digest;
pub mod fs;
mod identity;
mod path;
mod plan;
mod plan_json;
mod receipt;
mod record;

pub use digest::{Digest, DigestError, Hasher};
pub use fs::Fs;
pub use identity::{Birth, Identity};
pub use path::{COMPONENT_BYTES_MAX, DEPTH_MAX, PATH_BYTES_MAX, RelPath, RelPathError};
pub use plan::{
    Content, ENGINE_DIR, Effect, Expected, Input, LINK_BYTES_MAX, Mode, Node, Observation,
    Observed, Operation, Plan, PlanBuilder, PlanError, Publication,
};
pub use plan_json::{PLAN_BYTES_MAX, PLAN_FORMAT, PlanReadError};
pub use receipt::{
    Published, RECEIPT_BYTES_MAX, RECEIPT_FORMAT, RECEIPT_NAME, Receipt, ReceiptReadError,
};
pub use record::{
    Durability, RECORD_BYTES_MAX, RECORD_VERSION, Record, RecordReadError, Step, Steps, Verdict,
};
