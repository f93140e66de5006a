//! Cells: the environments that are compared, out of all combinations of `venv`'s flags.
//!
//! A cell is a deed (create, clear, over an existing environment, upgrade) with a value for every
//! flag. The whole matrix has each combination; the diagonal has six cells for each interpreter,
//! which cover every value of every dimension, pip once. The number of the interpreter rotates
//! which value meets which deed. Does not run anything. Read next: `made.rs`.

/// Prompts: none, one that needs quoting, the name of the working directory, and an empty one.
pub(crate) const PROMPTS: [Option<&str>; 4] =
    [None, Some("it's \"x\" $HOME \\ é"), Some("."), Some("")];

/// What is done at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// Nothing exists.
    Create,
    /// An environment with a user's files exists, and is cleared.
    Clear,
    /// The same exists, and is made again over it.
    Over,
    /// The same exists, and is upgraded.
    Upgrade,
}

pub(crate) const DEEDS: [Deed; 4] = [Deed::Create, Deed::Clear, Deed::Over, Deed::Upgrade];

/// What the parent directory passes on to new entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Parent {
    Nothing,
    /// Its group, which is not the user's, and its setgid bit.
    Group,
    /// A default ACL.
    Acl,
}

/// One compared environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the flags of `python -m venv`"
)]
pub(crate) struct Cell {
    pub(crate) deed: Deed,
    pub(crate) copies: bool,
    pub(crate) pip: bool,
    pub(crate) system: bool,
    pub(crate) prompt: Option<&'static str>,
    /// Whether a `.gitignore` is made, where venv supports it.
    pub(crate) ignored: bool,
    pub(crate) parent: Parent,
}

impl Cell {
    /// The flags, without those that Python 3.`minor` does not support.
    pub(crate) fn flags(&self, minor: u32) -> Vec<&'static str> {
        let mut flags = vec![if self.copies {
            "--copies"
        } else {
            "--symlinks"
        }];
        let switches = [
            ("--without-pip", !self.pip),
            ("--system-site-packages", self.system),
            ("--without-scm-ignore-files", !self.ignored && minor >= 13),
            ("--clear", self.deed == Deed::Clear),
            ("--upgrade", self.deed == Deed::Upgrade),
        ];
        flags.extend(switches.iter().filter(|(_, on)| *on).map(|(flag, _)| *flag));
        flags.extend(self.prompt.iter().flat_map(|prompt| ["--prompt", prompt]));
        flags
    }
}

/// Six cells for the interpreter of this number.
pub(crate) fn diagonal(number: usize) -> Vec<Cell> {
    let deeds = DEEDS.into_iter().chain([Deed::Over, Deed::Upgrade]);
    let cell = |(place, deed): (usize, Deed)| {
        // The last two cells request the opposite of the first `over` and `upgrade`.
        let opposite = place >= DEEDS.len();
        let turn = number + place % DEEDS.len() + 2 * usize::from(opposite);
        let at = (number / DEEDS.len() + place) % 2;
        Cell {
            deed,
            copies: (at == 1) != opposite,
            pip: place == number % DEEDS.len(),
            system: (turn / 2 % 2 == 1) != opposite,
            prompt: PROMPTS.into_iter().cycle().nth(turn).flatten(),
            ignored: place % 3 != 1,
            parent: Parent::Nothing,
        }
    };
    deeds.enumerate().map(cell).collect()
}

/// Every combination of deed, interpreter, pip, packages of the system and prompt.
pub(crate) fn whole() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (number, deed) in DEEDS.into_iter().enumerate() {
        for bits in 0..1_usize << 3 {
            for prompt in PROMPTS {
                cells.push(Cell {
                    deed,
                    copies: bits & 1 == 1,
                    system: bits & 2 == 2,
                    pip: bits & 4 == 4,
                    prompt,
                    // Not with `system` and `prompt`: see `Made::with_pip_of`.
                    ignored: (number + (bits & 1)) % 3 != 1,
                    parent: Parent::Nothing,
                });
            }
        }
    }
    cells
}

/// Every deed where the parent passes something on; pip is created once, with a copied interpreter.
pub(crate) fn below(parent: Parent) -> Vec<Cell> {
    let cell = |deed: Deed| Cell {
        deed,
        copies: deed == Deed::Create,
        pip: deed == Deed::Create,
        system: false,
        prompt: Some("p"),
        ignored: true,
        parent,
    };
    DEEDS.into_iter().map(cell).collect()
}
