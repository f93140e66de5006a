//! Cells: the environments that are compared, out of all combinations of `venv`'s flags.
//!
//! A cell is a action (create, clear, over an existing environment, upgrade) with a value for every
//! flag. The whole matrix has each combination; the diagonal has six cells for each interpreter,
//! which cover every value of every dimension, pip once. The number of the interpreter rotates
//! which value meets which action. Does not run anything. Read next: `made.rs`.

/// Prompts: none, one that needs quoting, the name of the working directory, and an empty one.
pub(crate) const PROMPTS: [Option<&str>; 4] =
    [None, Some("it's \"x\" $HOME \\ é"), Some("."), Some("")];

/// What is done at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// Nothing exists.
    Create,
    /// An environment with a user's files exists, and is cleared.
    Clear,
    /// The same exists, and is made again over it.
    Over,
    /// The same exists, and is upgraded.
    Upgrade,
}

pub(crate) const ACTIONS: [Action; 4] =
    [Action::Create, Action::Clear, Action::Over, Action::Upgrade];

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
    pub(crate) action: Action,
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
            ("--clear", self.action == Action::Clear),
            ("--upgrade", self.action == Action::Upgrade),
        ];
        flags.extend(switches.iter().filter(|(_, on)| *on).map(|(flag, _)| *flag));
        flags.extend(self.prompt.iter().flat_map(|prompt| ["--prompt", prompt]));
        flags
    }
}

/// Six cells for the interpreter of this number.
pub(crate) fn diagonal(number: usize) -> Vec<Cell> {
    let actions = ACTIONS.into_iter().chain([Action::Over, Action::Upgrade]);
    let cell = |(place, action): (usize, Action)| {
        // The last two cells request the opposite of the first `over` and `upgrade`.
        let opposite = place >= ACTIONS.len();
        let turn = number + place % ACTIONS.len() + 2 * usize::from(opposite);
        let at = (number / ACTIONS.len() + place) % 2;
        Cell {
            action,
            copies: (at == 1) != opposite,
            pip: place == number % ACTIONS.len(),
            system: (turn / 2 % 2 == 1) != opposite,
            prompt: PROMPTS.into_iter().cycle().nth(turn).flatten(),
            ignored: place % 3 != 1,
            parent: Parent::Nothing,
        }
    };
    actions.enumerate().map(cell).collect()
}

/// Every combination of action, interpreter, pip, packages of the system and prompt.
pub(crate) fn whole() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (number, action) in ACTIONS.into_iter().enumerate() {
        for bits in 0..1_usize << 3 {
            for prompt in PROMPTS {
                cells.push(Cell {
                    action,
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

/// Every action where the parent passes something on; pip is created once, with a copied
/// interpreter.
pub(crate) fn below(parent: Parent) -> Vec<Cell> {
    let cell = |action: Action| Cell {
        action,
        copies: action == Action::Create,
        pip: action == Action::Create,
        system: false,
        prompt: Some("p"),
        ignored: true,
        parent,
    };
    ACTIONS.into_iter().map(cell).collect()
}
