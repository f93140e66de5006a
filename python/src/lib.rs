//! The native half of the Python module `rvenv`.

use pyo3::prelude::*;

/// The native half of `rvenv`.
#[pymodule]
mod _rvenv {
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
