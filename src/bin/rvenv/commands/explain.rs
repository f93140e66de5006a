//! `rvenv explain`: says what the code of an error means.
//!
//! Read next: `../advice/codes.rs`, which has the codes and the sentences.

use std::fmt::Write as _;

use rvenv::render::escape;
use serde::Serialize;

use super::generations::json_of;
use crate::advice::{CliError, Code, Exit, Explanation};
use crate::args::ExplainArgs;
use crate::terminal::Terminal;

/// The codes that were asked for.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Codes {
    /// The version of this form.
    format: u64,
    codes: Vec<Explained>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Explained {
    code: &'static str,
    /// The exit code of a command that fails so.
    exit: u8,
    meaning: &'static str,
    state: &'static str,
    way_out: &'static str,
}

/// Explains a code, or lists all. Needs nothing of the machine, so that it works where every other
/// command is refused.
pub(crate) fn explain(
    terminal: Terminal,
    json: bool,
    args: &ExplainArgs,
) -> Result<Exit, CliError> {
    let asked = args.code.as_deref().map(named).transpose()?;
    let codes = asked.as_ref().map_or(Code::ALL, std::slice::from_ref);
    if json {
        terminal.json(&json_of(&Codes {
            format: 1,
            codes: codes.iter().copied().map(Explained::of).collect(),
        }))?;
        return Ok(Exit::Done);
    }
    terminal.data(&match asked {
        Some(code) => text(code),
        None => list(),
    })?;
    if asked.is_none() {
        terminal.story("`rvenv explain CODE` explains one");
    }
    Ok(Exit::Done)
}

/// The code that was typed, alone or as it is printed, in brackets after `error`.
fn named(typed: &str) -> Result<Code, CliError> {
    let name = typed.strip_prefix("error").unwrap_or(typed);
    let name = name.trim_matches(|c| matches!(c, '[' | ']' | ':'));
    Code::of(name).ok_or_else(|| {
        let shown = escape(typed);
        CliError::new(Code::Usage, format!("no error has the code `{shown}`"))
            .hint("`rvenv explain` lists the codes")
    })
}

fn text(code: Code) -> String {
    let Explanation {
        meaning,
        state,
        way_out,
    } = code.explanation();
    format!(
        "{}: exit code {}\n\n{meaning}\n\nState: {state}\n\nWhat to do: {way_out}\n",
        code.name(),
        code.exit() as u8
    )
}

fn list() -> String {
    let width = Code::ALL.iter().map(|code| code.name().len()).max();
    let width = width.unwrap_or_default();
    Code::ALL.iter().fold(String::new(), |mut text, code| {
        let meaning = code.explanation().meaning;
        let _infallible = writeln!(text, "{:width$}  {meaning}", code.name());
        text
    })
}

impl Explained {
    fn of(code: Code) -> Self {
        let Explanation {
            meaning,
            state,
            way_out,
        } = code.explanation();
        Self {
            code: code.name(),
            exit: code.exit() as u8,
            meaning,
            state,
            way_out,
        }
    }
}
