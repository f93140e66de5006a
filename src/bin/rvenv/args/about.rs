//! The arguments of the commands about rvenv itself: `explain`, `completions` and `man`.
//!
//! Read next: `../commands/explain.rs`, `../commands/manual.rs`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code, as in `error[stale-plan]`
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: ShellArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum ShellArg {
    /// `rvenv completions bash > ~/.local/share/bash-completion/completions/rvenv`
    Bash,
    /// `rvenv completions zsh > DIR/_rvenv`, for a directory of `fpath`
    Zsh,
    /// `rvenv completions fish > ~/.config/fish/completions/rvenv.fish`
    Fish,
    /// `rvenv completions powershell | Out-String | Invoke-Expression`, in the profile
    PowerShell,
    /// `rvenv completions nushell > FILE`, and `use FILE *` in the configuration
    Nushell,
    /// `eval (rvenv completions elvish | slurp)`, in rc.elv
    Elvish,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The directory, such as ~/.local/share/man/man1; it is made if it does not exist
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
}
