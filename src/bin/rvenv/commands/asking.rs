//! Turns the options of a command into a request to the library.
//!
//! Read next: the library's `request.rs`, which answers it.

use std::ffi::OsString;

use rvenv::Sources;
use rvenv::environment::{self, PlanFailed};
use rvenv::hooks::{Context, Venv};
use rvenv::lock::Selection;
use rvenv::locked::{Builds, LockRequest};
use rvenv::merge::MergeError;
use rvenv::options::{Choices, GIT, Options, Prompt};
use rvenv::python::Purpose;
use rvenv::removal::Removal;
use rvenv::render::escape;
use rvenv::request::{AskedPython, EnvRequest, Intent, RequestFailed, Unchanged};
use rvenv::resolve::{AskedPlace, Resolver};
use rvenv::supply::Extraneous;
use rvenv_journal::{Plan, Retention};

use crate::advice::{CliError, Code, of_plan, of_request};
use crate::args::{FromArg, IndexArgs, LockedArgs, ReplaceArgs, ResolverArg, VenvArgs};
use crate::session::{READING, Session};

/// What `create` is to do.
pub(super) fn intent(args: &VenvArgs) -> Intent {
    if args.upgrade {
        Intent::Upgrade
    } else {
        Intent::Create
    }
}

/// What the options want to happen to what is replaced.
pub(super) fn retention(args: &ReplaceArgs) -> Option<Retention> {
    match (args.keep, args.no_keep) {
        (true, _) => Some(Retention::Keep),
        (false, true) => Some(Retention::Discard),
        (false, false) => None,
    }
}

impl Session<'_> {
    /// The request for the environment of `create`, `upgrade` and `plan`.
    pub(super) fn request(
        &self,
        args: &VenvArgs,
        intent: Intent,
        env_dir: &str,
    ) -> Result<EnvRequest, CliError> {
        let options = Options {
            clear: args.clear,
            upgrade_deps: args.upgrade_deps,
            with_pip: !args.without_pip,
            compile_bytecode: args.compile_bytecode,
            scm_ignore_files: (!args.without_scm_ignore_files)
                .then(|| GIT.to_owned())
                .into_iter()
                .collect(),
            ..Options::default()
        };
        Ok(EnvRequest {
            env_dir: env_dir.to_owned(),
            intent,
            python: self.asked_python(args.python.as_ref())?,
            options,
            said: said(args, self.world.cwd_name()),
            packages: Vec::new(),
            locks: LockRequest {
                with_deps: args.with_deps,
                ..self.locks(&args.locks)?
            },
            removal: Removal {
                names: args.removal.names.clone(),
                with_unused: args.removal.unused,
            },
            sources: sources(&args.index, &args.locks.places.from),
            purpose: Purpose::Show,
            unchanged: Unchanged::Planned,
        })
    }

    /// The locks, requirements and places that the options name.
    fn locks(&self, args: &LockedArgs) -> Result<LockRequest, CliError> {
        let groups = (!args.group.is_empty()).then_some(args.group.as_slice());
        let extraneous = match (args.files.is_empty() || args.adds, args.exact) {
            (true, _) => Extraneous::Stay,
            (false, true) => Extraneous::Go,
            (false, false) => Extraneous::OfLocksGo,
        };
        let (requirements, mut places) = self.requirements(&args.with);
        let cwd = &self.world.surroundings.cwd;
        for text in &args.editable {
            let place = AskedPlace::editable(text, cwd).ok_or_else(|| {
                let shown = escape(text);
                CliError::new(Code::BadRequirement, format!("`{shown}` is no directory"))
            })?;
            places.push(place);
        }
        Ok(LockRequest {
            files: args.files.clone(),
            selection: Selection::new(&args.extra, groups),
            wheelhouses: args.places.wheelhouse.clone(),
            extraneous,
            allow_hosts: args.places.allow_host.clone(),
            requirements,
            places,
            resolver: resolver(args.resolver.resolver),
            builds: match (args.builds.build, args.builds.no_build) {
                (true, _) => Builds::All,
                (false, true) => Builds::Nothing,
                (false, false) => Builds::Unlocked,
            },
            config_settings: args
                .builds
                .settings
                .config_settings
                .iter()
                .cloned()
                .collect(),
            for_build_of: Vec::new(),
            with_deps: false,
        })
    }

    /// Tells requirements from paths and URLs.
    pub(super) fn requirements(&self, typed: &[String]) -> (Vec<String>, Vec<AskedPlace>) {
        let cwd = &self.world.surroundings.cwd;
        let (mut requirements, mut places) = (Vec::new(), Vec::new());
        for text in typed {
            match AskedPlace::parse(text, cwd) {
                Some(place) => places.push(place),
                None => requirements.push(text.clone()),
            }
        }
        (requirements, places)
    }

    pub(super) fn asked_python(&self, typed: Option<&OsString>) -> Result<AskedPython, CliError> {
        let asked = self.typed_python(typed);
        let asked = asked.and_then(|named| AskedPython::of(named, self.world));
        asked.map_err(|error| self.not_found(&error, self.variable(typed)))
    }

    /// Describes why a request failed; after a failed search, names the interpreters that exist.
    pub(super) fn unanswered(&self, failed: RequestFailed, typed: Option<&OsString>) -> CliError {
        if let RequestFailed::Interpreter(error) = &failed {
            return self.not_found(error, self.variable(typed));
        }
        of_request(failed, self.signals.terminated())
    }

    /// Plans; a change that would be refused because packages stay behind is planned all the same.
    pub(super) fn make_plan(
        &self,
        args: &VenvArgs,
        context: &Context,
    ) -> Result<MadePlan, CliError> {
        let plan = |allow_lost| {
            let permissions = self.permissions(args.force, allow_lost);
            environment::plan(&self.fs, &Venv, context, permissions)
        };
        let (plan, refused) = self.during(READING, |_| match plan(args.lost.allow_lost) {
            Err(refused @ PlanFailed::Merge(MergeError::Lost { .. })) => {
                (plan(true), Some(of_plan(&refused)))
            }
            made => (made, None),
        });
        let plan = plan.map_err(|error| of_plan(&error))?;
        Ok(MadePlan { plan, refused })
    }
}

/// A plan, and why it would be refused.
pub(super) struct MadePlan {
    pub(super) plan: Plan,
    pub(super) refused: Option<CliError>,
}

/// Who resolves.
pub(super) fn resolver(asked: ResolverArg) -> Resolver {
    match asked {
        ResolverArg::Auto => Resolver::Auto,
        ResolverArg::Uv => Resolver::Uv,
        ResolverArg::Pip => Resolver::Pip,
    }
}

/// Where the options look for wheels.
pub(super) fn sources(args: &IndexArgs, from: &FromArg) -> Sources {
    Sources {
        find_links: args.find_links.clone(),
        index_url: args.index_url.clone(),
        extra_index_urls: args.extra_index_url.clone(),
        no_index: args.no_index,
        trusted_hosts: Vec::new(),
        from: from.from.clone(),
    }
}

/// The choices that the options set, among those that an upgrade keeps.
fn said(args: &VenvArgs, cwd_name: String) -> Choices {
    Choices {
        system_site_packages: args.system_site_packages.then_some(true),
        symlinks: match (args.symlinks, args.copies) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        },
        prompt: args.prompt.as_ref().map(|asked| Prompt {
            asked: asked.clone(),
            cwd_name,
        }),
    }
}
