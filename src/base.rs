//! The lowest floor of the product, which knows nothing of environments: the cache directory,
//! versions, owners of files, paths as text.
//!
//! Read next: the file that is named after what you look for.

pub mod cache;
pub(crate) mod cached_answer;
pub mod config_settings;
pub(crate) mod early_look;
pub(crate) mod entry_states;
pub mod fingerprint;
pub(crate) mod image_layout;
pub mod lexical_path;
pub(crate) mod one_line;
pub(crate) mod owners;
pub(crate) mod regular_file;
pub mod timestamp;
pub mod umask;
pub mod version;
