//! The native half of the Python module `rvenv`.
//!
//! Promises that long work runs without the interpreter's lock, that Ctrl-C ends it, and that each
//! error becomes an exception of `rvenv`. What a hook planned in Python arrives here as a list of
//! steps; what works on the disk is called back after the publication and before its decision.
//!
//! Read next: `request.rs`, what Python asks for; `recorded.rs`, the hooks; `run.rs`, the verbs;
//! `tree.rs`, the engine for trees that are not Python.

mod errors;
mod receipt;
mod recorded;
mod request;
mod run;
mod tree;
mod watch;

use pyo3::prelude::*;

/// The native half of `rvenv`.
#[pymodule]
mod _rvenv {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::run::{Plan, create, plan, read_plan, texts};
    #[pymodule_export]
    use super::tree::{publish_tree, rollback_tree};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
