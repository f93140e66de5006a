//! Which environment of an index was chosen, and which is asked for.
//!
//! Read next: the library's `front/choosing.rs`.

use rvenv::choosing::Chosen;
use rvenv::fetch::Reference;
use rvenv::python::Request;
use rvenv::render::escape;
use rvenv_journal::Digest;

use crate::advice::{CliError, Code, of_interpreter};
use crate::args::ChoiceArg;
use crate::session::Session;

impl Session<'_> {
    /// The Python that was asked for.
    pub(super) fn wanted_of_index(&self, choice: &ChoiceArg) -> Result<Option<Request>, CliError> {
        let typed = choice.python.as_ref();
        let read = typed
            .map(|typed| self.typed_python(Some(typed)))
            .transpose();
        read.map_err(|error| of_interpreter(&error, self.signals.terminated()))
    }

    /// Reports what a reference names, by digests; refuses a choice where there is none.
    pub(super) fn tell_found(
        &self,
        reference: &Reference,
        manifest: Digest,
        chosen: Option<&Chosen>,
        python: Option<&Request>,
    ) -> Result<Reference, CliError> {
        let there = reference.at(manifest);
        let named = chosen.map_or(manifest, |chosen| chosen.index);
        if reference.digest.is_none() {
            let named = reference.at(named);
            self.terminal.story(&format!("`{reference}` is `{named}`"));
        }
        match (chosen, python) {
            (Some(chosen), _) => {
                let demands = escape(&chosen.demands.to_string());
                self.terminal
                    .story(&format!("For this machine it has `{there}`: {demands}"));
            }
            (None, Some(python)) => {
                return Err(not_an_index(reference, python));
            }
            (None, None) => {}
        }
        Ok(there)
    }
}

/// Describes why there is nothing to choose from.
pub(super) fn not_an_index(what: &impl std::fmt::Display, python: &Request) -> CliError {
    let what = format!("`{what}` is one environment, of which none is chosen for {python}");
    CliError::new(Code::Usage, what).hint("leave out `--python`: the plan names its interpreter")
}
