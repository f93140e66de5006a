//! The environment that a lock is chosen for: the variables of markers, and the tags.
//!
//! Promises the values that `packaging` finds in the same interpreter. Everything comes out of what
//! the interpreter said; only the release of the kernel is of the moment, and is given.
//!
//! Read next: `choose.rs`, which asks it.

use crate::base::version::Specifiers;
use crate::python::Interpreter;
use crate::wheel::Marker;
use crate::wheel::marker::{Containers, Variables};
use crate::wheel::tags::TagOrder;

/// What markers may ask about the kernel that is running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `platform.release()`.
    pub release: String,
    /// `platform.version()`.
    pub version: String,
}

impl Kernel {
    /// The kernel of this machine; empty where it cannot be queried.
    #[must_use]
    pub fn running() -> Self {
        #[cfg(unix)]
        {
            let found = rustix::system::uname();
            let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
            Self {
                release: text(found.release()),
                version: text(found.version()),
            }
        }
        #[cfg(not(unix))]
        Self::default()
    }
}

/// The environment of one interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub(super) tags: TagOrder,
    variables: Variables,
}

impl Environment {
    /// The environment of an interpreter on this kernel.
    #[must_use]
    pub fn of(interpreter: &Interpreter, kernel: &Kernel) -> Self {
        let (version, platform) = (&interpreter.version, &interpreter.platform);
        let name = platform.implementation.as_str();
        let title = match name {
            "cpython" => "CPython",
            "pypy" => "PyPy",
            "graalpy" => "GraalVM",
            "jython" => "Jython",
            "ironpython" => "IronPython",
            other => other,
        };
        let system = match platform.sys_platform.as_str() {
            "linux" => "Linux",
            "darwin" => "Darwin",
            "win32" => "Windows",
            "cygwin" => "CYGWIN",
            other => other,
        };
        let short = format!("{}.{}", version.major, version.minor);
        // A build between two releases is called `3.13.0+`.
        let full = match version.text.strip_suffix('+') {
            Some(release) => format!("{release}+local"),
            None => version.text.clone(),
        };
        let variables = [
            ("python_version", short.as_str()),
            ("python_full_version", &full),
            ("implementation_name", name),
            ("implementation_version", &platform.implementation_version),
            ("platform_python_implementation", title),
            ("os_name", &platform.os_name),
            ("sys_platform", &platform.sys_platform),
            ("platform_system", system),
            ("platform_machine", &platform.machine),
            ("platform_release", &kernel.release),
            ("platform_version", &kernel.version),
            ("extra", ""),
        ];
        Self {
            tags: TagOrder::of(interpreter),
            variables: variables
                .map(|(name, value)| (name, value.to_owned()))
                .into(),
        }
    }

    /// The kind of its interpreter, in one line: every interpreter of it can use the wheels that
    /// another one builds.
    #[must_use]
    pub fn kind(&self) -> String {
        self.tags.text()
    }

    /// The version of Python.
    pub(super) fn python(&self) -> &str {
        let full = self.variables.get("python_full_version");
        full.map_or("", String::as_str)
    }

    /// Whether its Python is in a range; a preview counts like a release.
    pub(crate) fn is_in(&self, range: &Specifiers) -> bool {
        range.include(self.python())
    }

    /// The value of a marker of a lock; `None` if it cannot be evaluated.
    pub(super) fn holds(&self, marker: &Marker, containers: &Containers) -> Option<bool> {
        marker.evaluate_in_lock(&self.variables, containers)
    }

    /// The value of the marker of a requirement, which no extra asked for.
    pub(super) fn holds_for_line(&self, marker: &Marker) -> Option<bool> {
        marker.evaluate(&self.variables)
    }

    /// The value of the marker of a requirement, which this extra asks for; an empty text is none.
    pub(crate) fn holds_for_extra(&self, marker: &Marker, extra: &str) -> Option<bool> {
        let mut variables = self.variables.clone();
        variables.insert("extra", extra.to_owned());
        marker.evaluate(&variables)
    }

    #[cfg(test)]
    pub(super) fn variables(&self) -> &Variables {
        &self.variables
    }
}
