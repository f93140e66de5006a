//! Environments that have their packages from the first moment.
//!
//! The example in venv's documentation runs installers in the new environment; this one plans the
//! wheels, so that nothing runs.
//!
//!     cargo run --example preinstalled -- WHEELHOUSE ENV_DIR NAME...
//!
//! A reader finds no environment, or one with all of the packages. If a name has no wheel, nothing
//! is made. If the interpreter does not find a package afterwards, the old environment comes back.

use std::error::Error;
use std::path::Path;

use rvenv::activation::quote_posix;
use rvenv::checks::Check;
use rvenv::hooks::{Context, Draft};
use rvenv::host::Host;
use rvenv::wheelhouse::Wheelhouse;
use rvenv::{Created, EnvBuilder, HookError, Hooks};

/// What each environment starts with.
struct Preinstalled<'a> {
    house: &'a Wheelhouse,
    names: &'a [String],
}

impl Hooks for Preinstalled<'_> {
    fn post_setup(&self, context: &Context, draft: &mut Draft) -> Result<(), HookError> {
        for name in self.names {
            let wheel = self.house.newest(name);
            let wheel = wheel.map_err(|error| HookError::Other(Box::new(error)))?;
            draft.install(context, wheel)?;
        }
        // `importlib.metadata` is there since Python 3.8.
        if context.interpreter.version.at_least(3, 8) {
            draft.check(Check::Command(self.finds_all()));
        }
        Ok(())
    }
}

impl Preinstalled<'_> {
    /// A command that fails where a package is not found.
    fn finds_all(&self) -> String {
        let code =
            "import sys, importlib.metadata as m; [m.version(name) for name in sys.argv[1:]]";
        let names: Vec<_> = self.names.iter().map(|name| quote_posix(name)).collect();
        format!("python -c {} {}", quote_posix(code), names.join(" "))
    }
}

/// Makes an environment with the newest wheels of these names.
pub(crate) fn make(
    host: &Host,
    builder: EnvBuilder,
    (house, names): (&Wheelhouse, &[String]),
    env_dir: &Path,
) -> Result<Created, Box<dyn Error>> {
    let builder = EnvBuilder {
        packages: house.wheels().to_vec(),
        ..builder
    };
    Ok(builder.create_on(host, &Preinstalled { house, names }, env_dir)?)
}

#[expect(clippy::print_stdout, reason = "an example tells what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(house), Some(env_dir)) = (arguments.next(), arguments.next()) else {
        return Err("usage: preinstalled WHEELHOUSE ENV_DIR NAME...".into());
    };
    let names: Vec<String> = arguments.collect();
    let house = Wheelhouse::read(Path::new(&house))?;
    let builder = EnvBuilder::command_line();
    let made = make(
        &Host::read()?,
        builder,
        (&house, &names),
        Path::new(&env_dir),
    )?;
    println!("{} has {}", made.context.env_dir, names.join(", "));
    Ok(())
}
