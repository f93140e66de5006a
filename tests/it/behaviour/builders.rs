//! Custom builders: the library used as `venv.EnvBuilder` is, and the three examples, which do real
//! work here.
//!
//! The tests make the wheels; no network. Without a supported Python they print a message and pass.
//! Read next: `src/front/env_builder.rs`, `src/build/hooks.rs`, `examples/`.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::behaviour::preinstalled;
use crate::machine::{Python, Scratch, any_python, tree};
use crate::packages;
use rvenv::cache::Cache;
use rvenv::checks::Check;
use rvenv::environment::Outcome;
use rvenv::hooks::{Context, Draft};
use rvenv::host::Host;
use rvenv::python::{Request, Surroundings};
use rvenv::wheelhouse::Wheelhouse;
use rvenv::{CreateFailed, EnvBuilder, HookError, Hooks};
use rvenv_journal::fs::Time;

pub(super) struct Bench {
    pub(super) scratch: Scratch,
    pub(super) python: Python,
    pub(super) host: Host,
}

/// A place to build in, with surroundings that contain nothing of the user's.
pub(super) fn bench() -> Option<Bench> {
    let python = any_python()?;
    let scratch = Scratch::new();
    let environment = vec![("PATH".into(), "/usr/bin:/bin".into())];
    let host = Host {
        surroundings: Surroundings {
            cwd: scratch.path(""),
            search_path: Some("/usr/bin:/bin".into()),
            cache_dir: Some(Cache::at(scratch.cache())),
            environment,
            ..Surroundings::default()
        },
        cache: Some(Cache::at(scratch.cache())),
        umask: 0o022,
        epoch: None,
        now: Time {
            seconds: 1,
            nanos: 0,
        },
        processors: std::num::NonZeroUsize::MIN,
        python: None,
        cwd: Some(scratch.path("")),
    };
    Some(Bench {
        scratch,
        python,
        host,
    })
}

impl Bench {
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.scratch.path(below)
    }

    /// The API's defaults, with an interpreter that the test knows.
    pub(super) fn builder(&self) -> EnvBuilder {
        EnvBuilder {
            python: Request::Path(self.python.path.clone()),
            symlinks: true,
            ..EnvBuilder::default()
        }
    }

    pub(super) fn create(&self, stages: &dyn Hooks) -> Result<Outcome, CreateFailed> {
        let made = self.builder().create_on(&self.host, stages, "E")?;
        Ok(made.outcome)
    }

    pub(super) fn refused(&self, stages: &dyn Hooks, expect: &str) {
        let error = self.create(stages).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
        assert_eq!(names(&self.path("")), Vec::<String>::new());
    }
}

/// The names in a directory, without the cache.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|name| name != "cache" && name != "index")
        .collect();
    names.sort();
    names
}

#[test]
fn the_defaults_of_the_api_and_of_the_command_line_are_those_of_venv() {
    let Some(bench) = bench() else { return };
    let api = EnvBuilder {
        python: Request::Path(bench.python.path.clone()),
        ..EnvBuilder::default()
    };
    let made = api
        .create_on(&bench.host, &rvenv::hooks::Venv, "E")
        .unwrap();
    let env = bench.path("E");
    let exe = env.join("bin").join(made.context.python_exe());
    assert!(fs::symlink_metadata(&exe).unwrap().is_file(), "a copy");
    assert!(!env.join(".gitignore").exists());
    assert!(!env.join("bin/pip").exists());
    let config = fs::read_to_string(made.context.cfg_path()).unwrap();
    if made.context.interpreter.version.at_least(3, 13) {
        let expected = format!(
            " -m venv --copies --without-pip --without-scm-ignore-files {}\n",
            env.display()
        );
        assert!(config.contains(&expected), "{config}");
    }
    let typed = EnvBuilder::command_line();
    assert!(typed.symlinks && typed.with_pip && typed.scm_ignore_files.contains("git"));
    assert!(!typed.system_site_packages && !typed.clear && !typed.upgrade && !typed.upgrade_deps);
    assert_eq!(typed.prompt, None);
}

#[test]
fn the_context_has_the_attributes_of_venv() {
    let Some(bench) = bench() else { return };
    let builder = EnvBuilder {
        prompt: Some(".".to_owned()),
        ..bench.builder()
    };
    let made = builder
        .create_on(&bench.host, &rvenv::hooks::Venv, "x/../E")
        .unwrap();
    let context = made.context;
    let env = bench.path("E").to_str().unwrap().to_owned();
    let cwd = bench.host.cwd_name();
    let minor = context.interpreter.version.minor;
    let shown = if minor >= 9 { cwd.as_str() } else { "." };
    assert_eq!(
        (context.env_dir.as_str(), context.env_name.as_str()),
        (env.as_str(), "E")
    );
    assert_eq!(context.prompt, shown);
    assert_eq!(context.bin_name(), "bin");
    assert_eq!(context.bin_path(), format!("{env}/bin"));
    assert_eq!(
        context.env_exe(),
        format!("{env}/bin/{}", context.python_exe())
    );
    assert_eq!(context.env_exec_cmd(), context.env_exe());
    assert_eq!(context.cfg_path(), format!("{env}/pyvenv.cfg"));
    assert!(Path::new(&context.inc_path()).is_dir());
    assert!(Path::new(&context.lib_path()).is_dir());
    assert!(context.platlib_path().starts_with(&env));
    assert_eq!(
        context.python_dir().join(context.python_exe()),
        context.executable()
    );
}

/// Records which hooks ran, in which order, and plans nothing more.
#[derive(Default)]
struct Recording(RefCell<Vec<&'static str>>);

impl Recording {
    fn note(&self, stage: &'static str) {
        self.0.borrow_mut().push(stage);
    }
}

impl Hooks for Recording {
    fn ensure_directories(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.note("ensure_directories");
        rvenv::hooks::Venv.ensure_directories(context, draft)
    }

    fn create_git_ignore_file(&self, _: &Context, _: &mut Draft) -> Result<(), HookError> {
        self.note("create_git_ignore_file");
        Ok(())
    }

    fn create_configuration(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.note("create_configuration");
        rvenv::hooks::Venv.create_configuration(context, draft)
    }

    fn setup_python(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        self.note("setup_python");
        rvenv::hooks::Venv.setup_python(context, draft)
    }

    fn setup_pip(&self, _: &Context, _: &mut Draft) -> Result<(), HookError> {
        self.note("setup_pip");
        Ok(())
    }

    fn setup_scripts(&self, _: &Context, _: &mut Draft) -> Result<(), HookError> {
        self.note("setup_scripts");
        Ok(())
    }

    fn post_setup(&self, _: &Context, _: &mut Draft) -> Result<(), HookError> {
        self.note("post_setup");
        Ok(())
    }
}

#[test]
fn the_hooks_run_in_the_order_of_venv() {
    let Some(bench) = bench() else { return };
    let recording = Recording::default();
    let builder = EnvBuilder {
        with_pip: true,
        scm_ignore_files: ["GIT".to_owned()].into(),
        ..bench.builder()
    };
    builder.plan_on(&bench.host, &recording, "E").unwrap();
    let stages = recording.0.borrow().join(" ");
    assert_eq!(
        stages,
        "ensure_directories create_git_ignore_file create_configuration setup_python setup_pip setup_scripts post_setup"
    );
    assert_eq!(names(&bench.path("")), Vec::<String>::new());
}

/// Supports another system of version control.
struct Bazaar;

impl Hooks for Bazaar {
    fn create_scm_ignore_file(
        &self,
        scm: &str,
        context: &Context,
        draft: &mut Draft,
    ) -> Result<(), HookError> {
        match scm {
            "bzr" => draft.file(".bzrignore", "*\n"),
            _ => rvenv::hooks::Venv.create_scm_ignore_file(scm, context, draft),
        }
    }
}

/// `test_create_scm_ignore_files_multiple` of the tests of `venv`.
#[test]
fn a_builder_may_know_of_more_systems_of_version_control_and_an_unknown_one_is_refused() {
    let Some(bench) = bench() else { return };
    let builder = EnvBuilder {
        scm_ignore_files: ["git".to_owned(), "bzr".to_owned()].into(),
        ..bench.builder()
    };
    let error = builder
        .create_on(&bench.host, &rvenv::hooks::Venv, "E")
        .unwrap_err();
    assert!(error.to_string().contains("`bzr`"), "{error}");
    assert_eq!(names(&bench.path("")), Vec::<String>::new());
    let made = builder.create_on(&bench.host, &Bazaar, "E").unwrap();
    let expected = made.context.interpreter.version.at_least(3, 13);
    assert_eq!(
        fs::read_to_string(bench.path("E/.bzrignore")).unwrap(),
        "*\n"
    );
    assert_eq!(bench.path("E/.gitignore").exists(), expected);
}

/// Plans a file, and adds a health check for it.
struct Judged(&'static str);

impl Hooks for Judged {
    fn post_setup(&self, _: &Context, draft: &mut Draft) -> Result<(), HookError> {
        draft.file("share/note.txt", "made\n")?;
        draft.check(Check::Command(self.0.to_owned()));
        Ok(())
    }
}

/// I5: a health check of a hook decides.
#[test]
fn what_fails_the_health_check_of_a_hook_is_taken_back() {
    let Some(bench) = bench() else { return };
    bench.refused(&Judged("exit 3"), "failed its health check");
    let judge = "test \"$(cat \"$VIRTUAL_ENV/share/note.txt\")\" = made && python -c ''";
    let outcome = bench.create(&Judged(judge)).unwrap();
    assert!(matches!(outcome, Outcome::Published(_)));
    let before = tree(&bench.path("E"));
    let clear = EnvBuilder {
        clear: true,
        ..bench.builder()
    };
    assert!(
        clear
            .create_on(&bench.host, &Judged("exit 3"), "E")
            .is_err()
    );
    assert_eq!(tree(&bench.path("E")), before);
}

/// Asks for a wheel that it was not given.
struct Greedy(PathBuf);

impl Hooks for Greedy {
    fn post_setup(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        draft.install(context, &self.0)
    }
}

#[test]
fn a_hook_installs_only_wheels_that_were_given_beforehand() {
    let Some(bench) = bench() else { return };
    let index = packages::index(&bench.scratch, &bench.python.path, &[("demo", "1.0")]);
    let wheel = index.join("demo-1.0-py3-none-any.whl");
    assert!(wheel.is_file());
    bench.refused(&Greedy(wheel), "was not among the packages");
}

/// Plans a path outside the environment.
struct Escaping(&'static str);

impl Hooks for Escaping {
    fn post_setup(&self, _: &Context, draft: &mut Draft) -> Result<(), HookError> {
        draft.file(self.0, "x")
    }
}

/// I6: a hook cannot plan anything outside, nor over what another hook plans.
#[test]
fn a_hook_plans_nothing_outside_its_environment_nor_over_another_hook() {
    let Some(bench) = bench() else { return };
    for path in ["../x", "/x", "pyvenv.cfg", "bin/python/x", ".rvenv/x"] {
        assert!(bench.create(&Escaping(path)).is_err(), "{path}");
        assert_eq!(names(&bench.path("")), Vec::<String>::new());
    }
}

/// I4: a wheel may give all files of every version the same time; equal length and time do not mean
/// equal content.
#[test]
fn a_file_that_is_as_long_and_as_old_is_exchanged_for_other_bytes() {
    let Some(bench) = bench() else { return };
    let built = |version, env: &str| {
        let index = bench.path(version);
        fs::create_dir(&index).unwrap_or(());
        let made = packages::index(&bench.scratch, &bench.python.path, &[("demo", version)]);
        let wheel = format!("demo-{version}-py3-none-any.whl");
        fs::copy(made.join(&wheel), index.join(&wheel)).unwrap();
        let house = Wheelhouse::read(&index).unwrap();
        let wanted = ["demo".to_owned()];
        let env = bench.path(env);
        let made = preinstalled::make(&bench.host, bench.builder(), (&house, &wanted), &env);
        PathBuf::from(made.unwrap().context.lib_path()).join("demo/inner.py")
    };
    let one = built("1.0", "E");
    let other = built("1.5", "F");
    let old = fs::read(&one).unwrap();
    let time = fs::metadata(&other).unwrap().modified().unwrap();
    fs::File::options()
        .write(true)
        .open(&one)
        .unwrap()
        .set_modified(time)
        .unwrap();
    // A foreign file makes the files of the package change one by one.
    fs::write(one.with_file_name("notes"), "mine").unwrap();
    built("1.5", "E");
    let new = fs::read(&one).unwrap();
    assert_eq!(old.len(), new.len());
    assert_ne!(old, new);
    assert_eq!(new, fs::read(&other).unwrap());
}

/// Python matches bytecode to its source only by length and time, and a wheel sets the time.
#[test]
fn no_bytecode_outlives_the_source_that_it_was_compiled_from() {
    let Some(bench) = bench() else { return };
    let env = bench.path("E");
    let built = |version| {
        let index = bench.path(version);
        fs::create_dir(&index).unwrap_or(());
        let made = packages::index(&bench.scratch, &bench.python.path, &[("demo", version)]);
        let wheel = format!("demo-{version}-py3-none-any.whl");
        fs::copy(made.join(&wheel), index.join(&wheel)).unwrap();
        let house = Wheelhouse::read(&index).unwrap();
        let builder = EnvBuilder {
            // An upgrade keeps what it replaces.
            upgrade: version != "1.0",
            ..bench.builder()
        };
        preinstalled::make(&bench.host, builder, (&house, &["demo".to_owned()]), &env).unwrap()
    };
    let made = built("1.0");
    let python = PathBuf::from(made.context.env_exe());
    let site = PathBuf::from(made.context.lib_path());
    let says = |version: &str, flags: &[&str]| {
        let words = [flags, &["-c", "import demo.inner; demo.inner.main()"]].concat();
        let expect = format!("demo {version}\n");
        assert_eq!(bench.scratch.run(&python, &words).ok(), expect, "{flags:?}");
    };
    let nothing_to_do = |version| matches!(built(version).outcome, Outcome::NoChanges(_));
    // A foreign file in the package makes its files change one by one.
    fs::write(site.join("demo/notes"), "mine").unwrap();
    let modes: [&[&str]; 3] = [&[], &["-O"], &["-OO"]];
    says("1.0", modes[0]);
    // A file that is too large for bytecode does not stop a change.
    let vast = fs::File::create(site.join("demo/__pycache__/inner.cpython-30.pyc")).unwrap();
    vast.set_len(1 << 30).unwrap();
    says("1.0", modes[1]);
    // Nothing of the third version is compiled until it comes back.
    for version in ["1.5", "1.6", "1.7"] {
        built(version);
        for flags in modes.iter().filter(|_| version != "1.6") {
            says(version, flags);
        }
        assert!(nothing_to_do(version), "{version}");
    }
    for version in ["1.6", "1.7", "1.6"] {
        bench.scratch.rvenv(&["rollback", "E"]).ok();
        for flags in modes {
            says(version, flags);
        }
    }
    bench.scratch.rvenv(&["verify", "E"]).ok();
}

/// The wheel of a hook replaces an older version of the package that pip had installed.
#[test]
fn a_wheel_of_a_hook_replaces_what_an_installer_had_put_there() {
    let Some(bench) = bench() else { return };
    let index = packages::index(
        &bench.scratch,
        &bench.python.path,
        &[("demo", "2.0"), ("six", "1.0")],
    );
    let house = Wheelhouse::read(&index).unwrap();
    let made = bench
        .builder()
        .create_on(&bench.host, &rvenv::hooks::Venv, "E")
        .unwrap();
    let site = PathBuf::from(made.context.lib_path());
    let info = |name: &str| site.join(format!("{name}-0.1.dist-info"));
    for name in ["demo", "six"] {
        fs::create_dir(info(name)).unwrap();
        fs::write(info(name).join("METADATA"), "Metadata-Version: 2.1\n").unwrap();
        let module = format!("{name}_old.py");
        fs::write(site.join(&module), "").unwrap();
        let record =
            format!("{module},,\n{name}-0.1.dist-info/METADATA,,\n{name}-0.1.dist-info/RECORD,,\n");
        fs::write(info(name).join("RECORD"), record).unwrap();
    }
    let wanted = ["demo".to_owned()];
    preinstalled::make(
        &bench.host,
        bench.builder(),
        (&house, &wanted),
        &bench.path("E"),
    )
    .unwrap();
    assert!(site.join("demo-2.0.dist-info").is_dir());
    assert!(!info("demo").exists() && !site.join("demo_old.py").exists());
    // A wheel that no hook installs removes nothing.
    assert!(info("six").is_dir() && site.join("six_old.py").exists());
}
