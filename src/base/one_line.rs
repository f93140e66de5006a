//! Errors on one line, for messages that list several.

use std::error::Error;

/// An error and its causes.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut text = error.to_string().replace('\n', "; ");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {}", error.to_string().replace('\n', "; "));
        cause = error.source();
    }
    text
}
