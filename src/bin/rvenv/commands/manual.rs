//! `rvenv completions` and `rvenv man`: what shells and `man` know about the command line.
//!
//! Promises that both come from the same definition as the help. They need nothing of the machine.
//! Read next: `../args.rs`, the definition.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::{Generator, Shell, generate};
use clap_complete_nushell::Nushell;
use clap_mangen::Man;
use rvenv::render::escape;
use rvenv_journal::raw::counted;
use serde::Serialize;

use super::generations::json_of;
use crate::advice::{CliError, Code, Exit};
use crate::args::{Cli, CompletionsArgs, ManArgs, ShellArg};
use crate::terminal::Terminal;

const NAME: &str = "rvenv";
const VERSION: &str = concat!("rvenv ", env!("CARGO_PKG_VERSION"));

/// What follows the help, as the generator heads it, and the section that `man` readers look for.
const EXTRA: &str = ".SH EXTRA\nExit codes:\n";
const EXIT_STATUS: &str = ".SH \"EXIT STATUS\"\n.nf\n";

/// The completions of a shell.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ScriptJson<'a> {
    /// The version of this form.
    format: u64,
    /// What the shell reads.
    script: &'a str,
}

/// The manual pages that were written.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PagesJson<'a> {
    /// The version of this form.
    format: u64,
    /// The directory, as it was named.
    directory: &'a str,
    /// The names of the files.
    pages: &'a [String],
}

/// Prints the completions of a shell.
pub(crate) fn completions(
    terminal: Terminal,
    json: bool,
    args: &CompletionsArgs,
) -> Result<Exit, CliError> {
    let script = match args.shell {
        ShellArg::Bash => script(Shell::Bash),
        ShellArg::Zsh => script(Shell::Zsh),
        ShellArg::Fish => script(Shell::Fish),
        ShellArg::PowerShell => script(Shell::PowerShell),
        ShellArg::Elvish => script(Shell::Elvish),
        ShellArg::Nushell => script(Nushell),
    };
    if json {
        let script = &script;
        terminal.json(&json_of(&ScriptJson { format: 1, script }))?;
    } else {
        terminal.data(&script)?;
    }
    Ok(Exit::Done)
}

fn script(shell: impl Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), NAME, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes the manual pages into a directory.
pub(crate) fn man(terminal: Terminal, json: bool, args: &ManArgs) -> Result<Exit, CliError> {
    let mut pages = Vec::new();
    let mut all = Cli::command().disable_help_subcommand(true);
    all.build();
    collect(&all, NAME, &mut pages);
    make(&args.dir)?;
    for Page { name, text } in &pages {
        write(&args.dir.join(name), text)?;
    }
    let names: Vec<String> = pages.into_iter().map(|page| page.name).collect();
    let directory = args.dir.to_string_lossy();
    if json {
        terminal.json(&json_of(&PagesJson {
            format: 1,
            directory: &directory,
            pages: &names,
        }))?;
    }
    let count = counted(names.len(), "manual page");
    terminal.story(&format!("Wrote {count} into `{}`", escape(&directory)));
    Ok(Exit::Done)
}

/// A manual page.
struct Page {
    /// The name of its file.
    name: String,
    text: String,
}

/// The pages of a command and of those below it; `help` has none, since each has its own.
fn collect(command: &clap::Command, name: &str, pages: &mut Vec<Page>) {
    let below = command.get_subcommands();
    for inner in below.filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
        collect(inner, &format!("{name}-{}", inner.get_name()), pages);
    }
    let mut text = Vec::new();
    let man = Man::new(command.clone().display_name(name.to_owned()));
    let man = man.title(name.to_uppercase()).source(VERSION).manual(NAME);
    man.render(&mut text)
        .expect("a vector takes every byte that is written");
    let text = String::from_utf8_lossy(&text).replace(EXTRA, EXIT_STATUS);
    let text = text.replace(".SH VERSION\n", ".fi\n.SH VERSION\n");
    let name = format!("{name}.1");
    pages.push(Page { name, text });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the directory is the user's, and no target"
)]
fn make(dir: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(dir).map_err(|error| not_written(dir, &error))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file is the user's, and in no target"
)]
fn write(file: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(file, text).map_err(|error| not_written(file, &error))
}

fn not_written(path: &Path, error: &std::io::Error) -> CliError {
    let shown = escape(&path.to_string_lossy());
    CliError::new(Code::NotSaved, format!("cannot write `{shown}`"))
        .because(error)
        .hint("name a directory that you may write into")
}
