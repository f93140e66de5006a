//! Pip in the plan: which wheels are installed, and which installed distributions stay or are
//! replaced.
//!
//! Promises the rule of `ensurepip --upgrade`: an installed distribution that is newer than the
//! wheel stays as it is; an older one is replaced; for an equal one every file is planned, so that
//! missing files come back. Promises that [`kept_distributions`], [`replaced_distributions`] and
//! the plan follow the same rule. Does not plan the removal of a replaced distribution: a hook
//! only adds.
//!
//! Read next: `base/version.rs` for the order, `wheel/install.rs` for the files of a wheel.

use std::iter::successors;
use std::path::Path;
use std::sync::Arc;

use rvenv_journal::raw::{Attestation, Input, PlanError, Statement};
use rvenv_journal::{Content, Digest, Node, Operation, PlanBuilder, RelPath};

use super::{Context, HookError};
use crate::base::version;
use crate::build::roles;
use crate::build::supply::{self, Supply, WheelSource};
use crate::python::bytecode::path::source_of;
use crate::python::{Bundled, Caching, Interpreter, Platform, PythonVersion};
use crate::wheel::distributions::Distribution;
use crate::wheel::{
    self, FileContent, INSTALLER, Launchers, Named, Notes, Requested, Wheel, WheelBytecode,
    WheelError,
};

/// The distributions that `upgrade_deps` upgrades, in the order of installation: `venv`'s
/// `CORE_VENV_DEPS`.
#[must_use]
pub fn core_dependencies(version: &PythonVersion) -> &'static [&'static str] {
    if version.at_least(3, 12) {
        &["pip"]
    } else {
        &["setuptools", "pip"]
    }
}

/// The installed distributions that are newer than their wheel, and therefore not in the plan.
#[must_use]
pub fn kept_distributions(context: &Context) -> Vec<Distribution> {
    let wheels = wanted(context).filter(|supply| !supply.source.is_exact());
    let wheels = wheels.filter_map(|supply| Named::of(&supply.wheel));
    let kept = wheels.filter(|wheel| is_kept(context, wheel));
    kept.flat_map(|wheel| installed(context, wheel.name).cloned())
        .collect()
}

/// The installed distributions that a plan replaces by a wheel of another version; what their
/// RECORD lists is to be removed.
///
/// A given wheel that no hook installs is in no plan, and replaces nothing.
#[must_use]
pub fn replaced_distributions(context: &Context, plan: &PlanBuilder) -> Vec<Distribution> {
    let is_planned = |supply: &&Supply| {
        let mut inputs = plan.inputs().iter();
        !supply.source.is_optional() || inputs.any(|input| Path::new(input.file()) == supply.wheel)
    };
    let wheels = wanted(context).filter(is_planned);
    let wheels = wheels.filter_map(|supply| {
        let wheel = Named::of(&supply.wheel)?;
        let is_kept = !supply.source.is_exact() && is_kept(context, &wheel);
        (!is_kept).then_some(wheel)
    });
    let replaced = wheels.flat_map(|wheel| {
        let all = installed(context, wheel.name);
        all.filter(move |found| version::compare(&found.version, &wheel.version).is_ne())
    });
    replaced.cloned().collect()
}

fn installed(context: &Context, name: String) -> impl Iterator<Item = &Distribution> {
    let all = context.installed.iter();
    all.filter(move |found| found.name == name)
}

/// Whether an installed distribution is newer than the wheel. After an interrupted installation
/// there may be two distributions of one name; the newer one counts.
fn is_kept(context: &Context, wheel: &Named) -> bool {
    let newer = |found: &Distribution| version::compare(&found.version, &wheel.version).is_gt();
    installed(context, wheel.name.clone()).any(newer)
}

/// Every wheel that may be installed, opened; without those that the environment keeps.
///
/// # Errors
/// A wheel that is damaged or hostile.
pub fn wanted_wheels(context: &Context) -> Result<Vec<Arc<Wheel>>, WheelError> {
    wanted(context)
        .filter(|supply| supply.installed.is_none())
        .map(|supply| context.wheels.open(&supply.wheel))
        .collect()
}

fn wanted(context: &Context) -> impl Iterator<Item = &Supply> {
    supply::wanted(&context.supplies, &context.options)
}

/// Plans the wanted wheels of one kind, except those that are kept, and those of which a newer
/// version is installed.
fn add_all(
    context: &Context,
    plan: &mut PlanBuilder,
    source: WheelSource,
) -> Result<(), HookError> {
    let is_new = |supply: &&Supply| supply.source == source && supply.installed.is_none();
    for supply in wanted(context).filter(is_new) {
        if source.is_exact() || !is_newer_installed(context, &supply.wheel) {
            let wheel = context.wheels.open(&supply.wheel)?;
            add(context, plan, supply, &wheel, source.part())?;
        }
    }
    Ok(())
}

fn bundled(context: &Context) -> impl Iterator<Item = &Supply> {
    let all = context.supplies.iter();
    all.filter(|supply| supply.source == WheelSource::Bundled)
}

/// Plans the bundled wheels.
pub(super) fn setup(context: &Context, plan: &mut PlanBuilder) -> Result<(), HookError> {
    let Interpreter {
        executable,
        bundled,
        version,
        ..
    } = &context.interpreter;
    if let Bundled::Missing { reason } = bundled {
        return Err(HookError::NoPip {
            python: executable.to_string_lossy().into_owned(),
            reason: reason.clone(),
            minor: version.minor,
        });
    }
    add_all(context, plan, WheelSource::Bundled)
}

/// Plans the wheels of locks.
pub(super) fn locked(context: &Context, plan: &mut PlanBuilder) -> Result<(), HookError> {
    let added = add_all(context, plan, WheelSource::Locked);
    added.map_err(|error| {
        if matches!(error, HookError::Wheel(_) | HookError::Install(_)) {
            HookError::Locked(Box::new(error))
        } else {
            error
        }
    })
}

/// Plans the downloaded wheels.
pub(super) fn upgrade(context: &Context, plan: &mut PlanBuilder) -> Result<(), HookError> {
    let has_pip = context.options.with_pip || context.installed.iter().any(|d| d.name == "pip");
    if !has_pip {
        return Err(HookError::NothingToUpgrade(context.env_dir.clone()));
    }
    for name in core_dependencies(&context.interpreter.version) {
        let fit = [WheelSource::Upgrade, WheelSource::Locked];
        let mut downloads = wanted(context).filter(|supply| fit.contains(&supply.source));
        if !downloads.any(|supply| supply.name().as_deref() == Some(*name)) {
            return Err(HookError::NotDownloaded(name));
        }
    }
    add_all(context, plan, WheelSource::Upgrade)
}

/// Plans a wheel that was given beforehand.
pub(super) fn install(
    context: &Context,
    plan: &mut PlanBuilder,
    path: &Path,
    part: &str,
) -> Result<(), HookError> {
    let supply = supply::of(&context.supplies, WheelSource::Given, path);
    let shown = || path.to_string_lossy().escape_debug().to_string();
    let supply = supply.ok_or_else(|| HookError::NotGiven(shown()))?;
    if is_newer_installed(context, path) {
        return Ok(());
    }
    let wheel = context.wheels.open(&supply.wheel)?;
    add(context, plan, supply, &wheel, part)
}

/// Plans a wheel that was looked up to replace the same version of a distribution.
///
/// # Errors
/// A wheel that was not looked up, or cannot be installed.
pub fn refit(
    context: &Context,
    plan: &mut PlanBuilder,
    path: &Path,
    part: &str,
) -> Result<(), HookError> {
    let supply = supply::of(&context.supplies, WheelSource::Refit, path);
    let shown = || path.to_string_lossy().escape_debug().to_string();
    let supply = supply.ok_or_else(|| HookError::NotGiven(shown()))?;
    let wheel = context.wheels.open(&supply.wheel)?;
    add(context, plan, supply, &wheel, part)
}

/// Whether an installed distribution is newer than a wheel; a wheel with a malformed name is
/// refused when it is opened.
fn is_newer_installed(context: &Context, path: &Path) -> bool {
    Named::of(path).is_some_and(|wheel| is_kept(context, &wheel))
}

/// Plans a wheel.
fn add(
    context: &Context,
    plan: &mut PlanBuilder,
    supply: &Supply,
    wheel: &Wheel,
    part: &str,
) -> Result<(), HookError> {
    let url = supply.url.clone();
    plan.add_input(Input {
        url,
        ..input(wheel, &supply.wheel)
    });
    plan.state(wheel.digest(), statement(wheel, supply.attestation.clone()));
    let bytecode = bytecode(context, wheel)?;
    if let Some((key, _)) = bytecode {
        plan.add_input(Input {
            role: roles::BYTECODE.to_owned(),
            path: wheel.file_name().to_owned(),
            found: None,
            url: None,
            digest: key,
            len: wheel.len(),
        });
    }
    let notes = if supply.source.is_exact() {
        Notes {
            installer: INSTALLER,
            requested: if supply.is_dependency {
                Requested::Unmarked
            } else {
                Requested::Marked
            },
            direct_url: supply.direct_url.as_deref(),
        }
    } else {
        Notes::of_pip(context)
    };
    let bytecode = bytecode.map(|(_, files)| files);
    add_wheel(
        context,
        plan,
        &Installation {
            wheel,
            bytecode,
            notes,
        },
        part,
    )
}

/// A wheel as an input of a plan: by its name and digest, since the directory it is in depends on
/// the cache or the wheelhouse of the user, and the plan must not.
fn input(wheel: &Wheel, path: &Path) -> Input {
    Input {
        role: roles::WHEEL.to_owned(),
        path: wheel.file_name().to_owned(),
        found: Some(path.to_string_lossy().into_owned()),
        url: None,
        digest: wheel.digest(),
        len: wheel.len(),
    }
}

/// What the receipt keeps about a wheel.
fn statement(wheel: &Wheel, attestation: Option<Attestation>) -> Statement {
    Statement {
        file: wheel.file_name().to_owned(),
        attestation,
    }
}

/// Plans one wheel alone, whatever is installed.
///
/// # Errors
/// A wheel that is damaged or hostile.
pub fn plan_wheel(context: &Context, path: &Path) -> Result<PlanBuilder, HookError> {
    let mut plan = PlanBuilder::new(&context.env_dir, context.dir_mode())?;
    let wheel = context.wheels.open(path)?;
    plan.add_input(input(&wheel, path));
    plan.state(wheel.digest(), statement(&wheel, None));
    let installation = Installation {
        wheel: &wheel,
        bytecode: None,
        notes: Notes::of_pip(context),
    };
    add_wheel(context, &mut plan, &installation, "repair")?;
    Ok(plan)
}

/// Plans one wheel of a lock alone, from its bytes: nothing that was remembered about it counts.
///
/// # Errors
/// A wheel that is damaged or hostile.
pub fn plan_locked(context: &Context, path: &Path) -> Result<PlanBuilder, HookError> {
    let mut plan = PlanBuilder::new(&context.env_dir, context.dir_mode())?;
    let supply = Supply {
        wheel: path.to_owned(),
        source: WheelSource::Locked,
        direct_url: None,
        url: None,
        attestation: None,
        is_dependency: false,
        installed: None,
    };
    let wheel = context.wheels.open_uncached(path)?;
    add(context, &mut plan, &supply, &wheel, "proof")?;
    Ok(plan)
}

/// The programs that start the scripts of a wheel on Windows; they come from pip's own wheel,
/// either this one or the bundled one.
fn launchers(context: &Context, wheel: &Wheel) -> Result<Option<Launchers>, HookError> {
    let Platform {
        os_name, is_64bit, ..
    } = &context.interpreter.platform;
    if os_name != "nt" {
        return Ok(None);
    }
    if let Some(own) = Launchers::of(wheel, *is_64bit)? {
        return Ok(Some(own));
    }
    let pip = bundled(context).find(|supply| supply.name().as_deref() == Some("pip"));
    let missing = || HookError::NoLauncher(wheel.file_name().to_owned());
    let pip = context.wheels.open(&pip.ok_or_else(missing)?.wheel)?;
    let launchers = Launchers::of(&pip, *is_64bit)?;
    launchers.map(Some).ok_or_else(missing)
}

/// Whether a distribution is marked as requested depends on the pip that would have installed it:
/// the bundled one.
fn requested(context: &Context) -> Requested {
    let mut wheels = bundled(context).filter_map(|supply| Named::of(&supply.wheel));
    let pip = wheels.find(|wheel| wheel.name == "pip");
    pip.map_or(Requested::Marked, |pip| Requested::by_pip(&pip.version))
}

/// The bytecode of a wheel and its key in the store, if bytecode is wanted.
fn bytecode<'a>(
    context: &'a Context,
    wheel: &Wheel,
) -> Result<Option<(Digest, WheelBytecode<'a>)>, HookError> {
    if !context.options.compile_bytecode {
        return Ok(None);
    }
    let missing = || HookError::NotCompiled(wheel.file_name().to_owned());
    let Caching { tag, .. } = context.interpreter.caching.as_ref().ok_or_else(missing)?;
    let compiled = context.bytecode.of(wheel.digest()).ok_or_else(missing)?;
    let files = &compiled.files;
    Ok(Some((compiled.key, WheelBytecode { tag, files })))
}

impl Notes<'static> {
    /// What the bundled pip would write.
    fn of_pip(context: &Context) -> Self {
        Self {
            installer: "pip",
            requested: requested(context),
            direct_url: None,
        }
    }
}

/// A wheel that is planned, and how.
struct Installation<'a> {
    wheel: &'a Wheel,
    bytecode: Option<WheelBytecode<'a>>,
    notes: Notes<'a>,
}

/// Whether a file with the same bytes and mode is planned already: two distributions may own it.
///
/// # Errors
/// A file with other bytes.
fn is_shared(
    plan: &PlanBuilder,
    path: &RelPath,
    node: &Node,
    wheel: &Wheel,
) -> Result<bool, HookError> {
    let Some(other) = plan.operations().get(path) else {
        return Ok(false);
    };
    let bytes = |node: &Node| match node {
        Node::File { content, mode, .. } => Some((content.digest(), *mode)),
        Node::Dir { .. } | Node::Symlink { .. } => None,
    };
    let (first, second) = (bytes(&other.node), bytes(node));
    match &other.group {
        _ if first.is_some() && first == second => Ok(true),
        Some(wheel_of_first) if first.is_some() => Err(HookError::Owned {
            path: path.clone(),
            first: wheel_of_first.to_string(),
            second: wheel.file_name().to_owned(),
        }),
        Some(_) | None => Ok(false),
    }
}

/// Whether a path is the bytecode of a source that another wheel has, whose bytecode is planned
/// already. It has the time of its own source, so its bytes need not be equal; the sources are
/// compared.
fn is_compiled(plan: &PlanBuilder, path: &RelPath, wheel: &Wheel) -> bool {
    let planned = plan.operations();
    let source = source_of(path.as_str()).and_then(|source| RelPath::new(&source).ok());
    let source = source.and_then(|source| planned.get(&source));
    let owner = source.and_then(|source| source.group.as_deref());
    planned.contains_key(path) && owner.is_some_and(|owner| owner != wheel.file_name())
}

fn add_wheel(
    context: &Context,
    plan: &mut PlanBuilder,
    installation: &Installation<'_>,
    part: &str,
) -> Result<(), HookError> {
    let wheel = installation.wheel;
    let version = &context.interpreter.version;
    let python = context.absolute(&context.layout.env_exe);
    let launchers = launchers(context, wheel)?;
    let include = match context.interpreter.platform.os_name.as_str() {
        "nt" => "Include",
        _ => "include",
    };
    let headers = RelPath::new(&format!("{include}/site/python3.{}", version.minor))?;
    let target = wheel::InstallScheme {
        purelib: context.layout.lib_path.clone(),
        platlib: context.layout.platlib_path.clone(),
        scripts: context.layout.bin_name.clone(),
        headers,
        python: &python,
        launchers: launchers.as_ref(),
        version: (
            u8::try_from(version.major).unwrap_or(u8::MAX),
            u8::try_from(version.minor).unwrap_or(u8::MAX),
        ),
        notes: installation.notes,
        bytecode: installation.bytecode,
    };
    for planned in wheel::installation(wheel, &target)? {
        let group = Some(wheel.file_name());
        if let Err(error) = plan.add_parents(&planned.path, part, group, context.dir_mode()) {
            return Err(collision(plan, &planned.path, wheel, error));
        }
        let is_bytecode = matches!(planned.content, FileContent::Bytecode { .. });
        if is_bytecode && is_compiled(plan, &planned.path, wheel) {
            continue;
        }
        let umask = context.options.umask;
        let mode = match (planned.executable, &planned.content) {
            (false, _) => context.data_mode(),
            (true, FileContent::Member { .. } | FileContent::Bytecode { .. }) => {
                wheel::program_mode(umask)
            }
            (true, FileContent::Bytes(_)) => wheel::script_mode(umask),
        };
        let (mtime, bytes) = match planned.content {
            FileContent::Member { digest, len, .. } | FileContent::Bytecode { digest, len } => {
                (planned.mtime, Content::Object { digest, len })
            }
            FileContent::Bytes(bytes) => (context.options.epoch, Content::Inline(bytes)),
        };
        let node = Node::File {
            mode,
            mtime,
            content: bytes,
        };
        if is_shared(plan, &planned.path, &node, wheel)? {
            continue;
        }
        let operation = Operation {
            part: part.into(),
            group: Some(wheel.file_name().into()),
            node,
        };
        if let Err(error) = plan.add(planned.path.clone(), operation) {
            return Err(collision(plan, &planned.path, wheel, error));
        }
    }
    Ok(())
}

/// Names what is in the way of a file, if that is why it cannot be planned.
fn collision(plan: &PlanBuilder, path: &RelPath, wheel: &Wheel, error: PlanError) -> HookError {
    let planned = plan.operations();
    let is_in_the_way = |at: &RelPath| {
        let found = planned.get(at);
        found.is_some_and(|found| at == path || !matches!(found.node, Node::Dir { .. }))
    };
    let nearest = || successors(Some(path.clone()), RelPath::parent).find(is_in_the_way);
    let other = match &error {
        PlanError::CaseCollision { first, .. } => Some(first.clone()),
        PlanError::Conflict { .. } | PlanError::NoParent(_) => nearest(),
        PlanError::Mode(_)
        | PlanError::LinkTarget(_)
        | PlanError::Closed { .. }
        | PlanError::Reserved(_)
        | PlanError::Retired(_)
        | PlanError::Kept(_)
        | PlanError::NothingKept(_)
        | PlanError::NoEntries(_)
        | PlanError::NothingShared(_)
        | PlanError::Target(_)
        | PlanError::Publication { .. } => None,
    };
    let Some(other) = other else {
        return error.into();
    };
    let first = planned.get(&other).and_then(|found| found.group.as_deref());
    HookError::Collides {
        wheel: wheel.file_name().to_owned(),
        path: path.clone(),
        first: first.map(str::to_owned),
        other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::options::Options;
    use crate::python::sample;
    use crate::wheel::distributions::DistributionKind;

    fn context(bundled: &[&str], installed: &[(&str, &str)], options: Options) -> Context {
        let mut interpreter = sample(11, "/p/bin/python3");
        interpreter.bundled = Bundled::Wheels(bundled.iter().map(|name| wheel(name)).collect());
        let env_dir = if cfg!(windows) { "C:/x/E" } else { "/x/E" };
        let mut context = Context::new(env_dir, interpreter, options).unwrap();
        let distribution = |(name, version): &(&str, &str)| Distribution {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            dir: format!("{name}-{version}.dist-info"),
            kind: DistributionKind::DistInfo,
        };
        context.installed = installed.iter().map(distribution).collect();
        context
    }

    fn version(minor: u32) -> PythonVersion {
        PythonVersion {
            major: 3,
            minor,
            micro: 0,
            text: format!("3.{minor}.0"),
        }
    }

    /// A path without a file, so that opening a wheel fails and keeping one does not.
    fn wheel(stem: &str) -> std::path::PathBuf {
        format!("/nowhere/{stem}-py3-none-any.whl").into()
    }

    fn shown(found: &[Distribution]) -> Vec<&str> {
        found.iter().map(|found| found.dir.as_str()).collect()
    }

    fn nothing(context: &Context) -> PlanBuilder {
        PlanBuilder::new(&context.env_dir, context.dir_mode()).unwrap()
    }

    fn plan(context: &Context) -> Result<(), HookError> {
        let mut plan = PlanBuilder::new(&context.env_dir, context.dir_mode())?;
        if context.options.with_pip {
            setup(context, &mut plan)?;
        }
        if context.options.upgrade_deps {
            upgrade(context, &mut plan)?;
        }
        Ok(())
    }

    #[test]
    fn what_is_newer_stays_what_is_older_gives_way_and_the_same_is_planned_again() {
        let bundled = ["setuptools-65.5.0", "pip-23.2.1"];
        let newer = [
            ("pip", "23.10"),
            ("setuptools", "65.5.0.post1"),
            ("six", "1"),
        ];
        let found = context(&bundled, &newer, Options::default());
        assert_eq!(
            shown(&kept_distributions(&found)),
            ["setuptools-65.5.0.post1.dist-info", "pip-23.10.dist-info"]
        );
        assert_eq!(replaced_distributions(&found, &nothing(&found)), []);
        assert!(plan(&found).is_ok());

        let older = [("pip", "23.2.1rc1"), ("setuptools", "65.5.0")];
        let found = context(&bundled, &older, Options::default());
        assert_eq!(kept_distributions(&found), []);
        assert_eq!(
            shown(&replaced_distributions(&found, &nothing(&found))),
            ["pip-23.2.1rc1.dist-info"]
        );
        assert!(matches!(plan(&found), Err(HookError::Wheel(_))));
    }

    #[test]
    fn of_two_installed_versions_the_newer_one_counts() {
        let both = [("pip", "22.0"), ("pip", "24.0")];
        let found = context(&["pip-23.2.1"], &both, Options::default());
        assert_eq!(kept_distributions(&found).len(), 2);
        assert_eq!(replaced_distributions(&found, &nothing(&found)), []);
    }

    #[test]
    fn without_pip_nothing_of_it_is_touched() {
        let options = Options {
            with_pip: false,
            ..Options::default()
        };
        let found = context(&["pip-23.2.1"], &[("pip", "22.0")], options);
        assert_eq!(kept_distributions(&found), []);
        assert_eq!(replaced_distributions(&found, &nothing(&found)), []);
    }

    fn newest(with_pip: bool, installed: &[(&str, &str)], downloaded: &[&str]) -> Context {
        let options = Options {
            with_pip,
            upgrade_deps: true,
            ..Options::default()
        };
        let mut context = context(&["setuptools-65.5.0", "pip-23.2.1"], installed, options);
        let downloads = downloaded.iter().map(|stem| Supply {
            wheel: wheel(stem),
            source: WheelSource::Upgrade,
            direct_url: None,
            url: None,
            attestation: None,
            is_dependency: false,
            installed: None,
        });
        context.supplies.extend(downloads);
        context
    }

    #[test]
    fn downloaded_wheels_take_the_place_of_the_bundled_ones() {
        let downloaded = ["setuptools-80.0", "pip-26.0"];
        let found = newest(
            true,
            &[("pip", "24.0"), ("setuptools", "80.0")],
            &downloaded,
        );
        assert_eq!(kept_distributions(&found), []);
        assert_eq!(
            shown(&replaced_distributions(&found, &nothing(&found))),
            ["pip-24.0.dist-info"]
        );
        let found = newest(
            true,
            &[("pip", "27.0"), ("setuptools", "81.0")],
            &downloaded,
        );
        assert_eq!(kept_distributions(&found).len(), 2);
        assert!(plan(&found).is_ok());
    }

    #[test]
    fn an_upgrade_of_what_is_not_there_or_was_not_downloaded_is_refused() {
        let check = |found: Context, expect: &str| {
            let error = plan(&found).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        let all = ["setuptools-80.0", "pip-26.0"];
        check(newest(false, &[], &all), "/x/E` has no pip to upgrade");
        let installed = [("pip", "27.0"), ("setuptools", "81.0")];
        check(
            newest(true, &installed, &all[..1]),
            "no wheel of pip was downloaded",
        );
        assert!(plan(&newest(false, &installed, &all)).is_ok());
        assert_eq!(core_dependencies(&version(12)), ["pip"]);
        assert_eq!(core_dependencies(&version(11)), ["setuptools", "pip"]);
    }
}
