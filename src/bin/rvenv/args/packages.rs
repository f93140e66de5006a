//! The arguments of `sync`, `install` and `uninstall`, which become those of `create`.
//!
//! Each command has a form that clap reads. What they have in common is a group here, so that an
//! option has one text and one place in all three.
//! Read next: `../commands/sync.rs`, which finds the environment.

use std::ffi::OsString;
use std::marker::PhantomData;

use clap::{ArgMatches, Args, FromArgMatches};

use super::CreateArgs;
use super::shared::{
    DryRunArg, INTERPRETER, IndexArgs, LockedArgs, PACKAGES, RemovalArgs, ReplaceArgs, RunArgs,
    TARGET, VenvArgs,
};

/// The arguments of `sync`.
pub(crate) type SyncArgs = ChangeOf<SyncForm>;
/// The arguments of `install`.
pub(crate) type InstallArgs = ChangeOf<InstallForm>;
/// The arguments of `uninstall`.
pub(crate) type UninstallArgs = ChangeOf<UninstallForm>;

/// A change of packages: the arguments of `create` that matter for it.
#[derive(Debug)]
pub(crate) struct ChangeArgs {
    /// The environment, if it is named.
    pub(crate) env: Option<OsString>,
    /// What `create` would get, without the directory of the environment.
    pub(crate) create: CreateArgs,
}

/// A change of packages that was typed in this form.
#[derive(Debug)]
pub(crate) struct ChangeOf<F> {
    pub(crate) change: ChangeArgs,
    form: PhantomData<F>,
}

impl<F: Args + Into<ChangeArgs>> FromArgMatches for ChangeOf<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let change = F::from_arg_matches(matches)?.into();
        let form = PhantomData;
        Ok(Self { change, form })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<F: Args + Into<ChangeArgs>> Args for ChangeOf<F> {
    fn augment_args(command: clap::Command) -> clap::Command {
        F::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        F::augment_args(command)
    }
}

#[derive(Debug, Args)]
#[command(mut_arg("files", |arg| arg.required(true)))]
pub(crate) struct SyncForm {
    #[command(flatten)]
    of: EnvArgs,

    #[command(flatten)]
    packages: PackageArgs,

    #[command(flatten)]
    terms: TermArgs,
}

// What is installed besides stays: `sync` removes.
#[derive(Debug, Args)]
#[command(mut_arg("exact", |arg| arg.hide(true)))]
pub(crate) struct InstallForm {
    /// Requirement to install: a name, a name and versions, `name @ URL`, the path of a project or
    /// an archive, or `git+URL`
    #[arg(value_name = "REQ", required_unless_present_any = ["files", "with", "editable"])]
    reqs: Vec<String>,

    #[command(flatten)]
    of: EnvArgs,

    /// Install the project in this directory so that changes in it take effect; repeatable
    #[arg(short, long, value_name = "DIR", help_heading = PACKAGES)]
    editable: Vec<String>,

    #[command(flatten)]
    packages: PackageArgs,

    #[command(flatten)]
    terms: TermArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UninstallForm {
    /// Package to uninstall
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,

    #[command(flatten)]
    of: EnvArgs,

    /// Uninstall what only these packages need too
    #[arg(long, help_heading = PACKAGES)]
    unused: bool,

    #[command(flatten)]
    terms: TermArgs,
}

/// Which environment is changed, and for which interpreter.
#[derive(Debug, Args)]
struct EnvArgs {
    /// Change this environment
    #[arg(long, value_name = "ENV_DIR", help_heading = TARGET)]
    env: Option<OsString>,

    /// Use this interpreter as the base, as for `rvenv create --python`; the default is the base of
    /// the environment
    #[arg(short, long, value_name = "REQUEST", help_heading = INTERPRETER)]
    python: Option<OsString>,
}

/// Which packages an environment gets, and where they are looked for.
#[derive(Debug, Args)]
struct PackageArgs {
    #[command(flatten)]
    locks: LockedArgs,

    #[command(flatten)]
    index: IndexArgs,

    /// Compile the sources of the packages once for each Python; later environments share the
    /// bytecode
    #[arg(long, help_heading = PACKAGES)]
    compile_bytecode: bool,
}

/// How the change is carried out.
#[derive(Debug, Args)]
struct TermArgs {
    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    replace: ReplaceArgs,

    #[command(flatten)]
    output: DryRunArg,
}

impl From<SyncForm> for ChangeArgs {
    fn from(typed: SyncForm) -> Self {
        let SyncForm {
            of,
            packages,
            terms,
        } = typed;
        change(of, packages.into(), terms)
    }
}

impl From<InstallForm> for ChangeArgs {
    fn from(typed: InstallForm) -> Self {
        let InstallForm {
            reqs,
            of,
            editable,
            mut packages,
            terms,
        } = typed;
        packages.locks.with.extend(reqs);
        packages.locks.adds = true;
        packages.locks.editable = editable;
        change(of, packages.into(), terms)
    }
}

impl From<UninstallForm> for ChangeArgs {
    fn from(typed: UninstallForm) -> Self {
        let UninstallForm {
            names,
            of,
            unused,
            terms,
        } = typed;
        let removal = RemovalArgs { names, unused };
        let venv = VenvArgs {
            removal,
            ..VenvArgs::default()
        };
        change(of, venv, terms)
    }
}

impl From<PackageArgs> for VenvArgs {
    fn from(packages: PackageArgs) -> Self {
        Self {
            compile_bytecode: packages.compile_bytecode,
            locks: packages.locks,
            index: packages.index,
            ..Self::default()
        }
    }
}

/// A change of nothing but packages: what the environment has besides stays as it is.
fn change(of: EnvArgs, packages: VenvArgs, terms: TermArgs) -> ChangeArgs {
    ChangeArgs {
        env: of.env,
        create: CreateArgs {
            env_dirs: Vec::new(),
            venv: VenvArgs {
                without_pip: true,
                without_scm_ignore_files: true,
                python: of.python,
                ..packages
            },
            run: terms.run,
            replace: terms.replace,
            output: terms.output,
        },
    }
}
