//! Cells: which environments are compared, of all that the flags of `venv` could ask for.
//!
//! A cell is a deed (create, clear, over an existing environment, upgrade) with a value for every
//! flag. The whole matrix has each combination; the diagonal has six cells for each interpreter, in
//! which every value of every dimension is met, pip once. Which value meets which deed turns with
//! the number of the interpreter. Does not run anything. Read next: `made.rs`.

/// Prompts: none, one that needs quoting, the name of the working directory, and an empty one.
pub(crate) const PROMPTS: [Option<&str>; 4] =
    [None, Some("it's \"x\" $HOME \\ é"), Some("."), Some("")];

/// What is done to the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// Nothing is there.
    Create,
    /// An environment is there, with files of somebody's, and goes.
    Clear,
    /// The same is there, and is made again.
    Over,
    /// The same is there, and is upgraded.
    Upgrade,
}

pub(crate) const DEEDS: [Deed; 4] = [Deed::Create, Deed::Clear, Deed::Over, Deed::Upgrade];

/// What the directory above hands down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Parent {
    Nothing,
    /// Its group, which is another than the user's, and its setgid bit.
    Group,
    /// A default ACL.
    Acl,
}

/// One environment that is compared.
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
    /// Whether there is a `.gitignore`, where venv knows of it.
    pub(crate) ignored: bool,
    pub(crate) parent: Parent,
}

impl Cell {
    /// The flags; those that Python 3.`minor` does not know are left out.
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
        // The last two cells ask for the opposite of what the first over and upgrade ask for.
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
                    // Not of `system` and `prompt`: see `Made::with_pip_of`.
                    ignored: (number + (bits & 1)) % 3 != 1,
                    parent: Parent::Nothing,
                });
            }
        }
    }
    cells
}

/// Every deed where the parent hands something down; pip is created once, with a copied
/// interpreter.
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
