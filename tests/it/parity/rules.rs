//! Rules: how an environment may differ from that of `venv`, where, and why.
//!
//! A difference that no rule covers fails the test, and so does a needed rule that an interpreter
//! in its range never needs in the cells of the rule. `docs/parity.md` is made from this table; see
//! `document.rs`.

use crate::parity::cells::{ACTIONS, Action, Cell, Parent};
use crate::parity::made::ALL;
use crate::parity::subjects::{Kind, Subject};

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Only `rvenv` makes it.
    RvenvAlone,
    /// Only `venv` makes it.
    VenvAlone,
    /// Both make it with the same mode, and the bytes differ.
    Bytes,
    /// Both make it, and its ACL differs.
    Acl,
    /// Both fail, and `venv` leaves half of an environment.
    BothFail,
    /// `rvenv` makes it, and `venv` is not run.
    VenvIsNotRun,
}

impl What {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::RvenvAlone => "only rvenv has it",
            Self::VenvAlone => "only venv has it",
            Self::Bytes => "different text",
            Self::Acl => "different ACL",
            Self::BothFail => "both fail",
            Self::VenvIsNotRun => "venv is not run",
        }
    }
}

/// The interpreters to which a rule applies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) kinds: &'static [Kind],
    pub(crate) minor_min: u32,
    pub(crate) minor_max: Option<u32>,
}

/// The cells to which a rule applies, in words and as a condition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) text: &'static str,
    pub(crate) holds: fn(&Cell) -> bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// The path in the environment; `*` matches any text. A row or a key of the file follows after
    /// `: `.
    pub(crate) path: &'static str,
    pub(crate) what: What,
    pub(crate) actions: &'static [Action],
    pub(crate) when: When,
    pub(crate) who: Who,
    /// Whether an interpreter that has no such difference fails the test.
    pub(crate) is_needed: bool,
    pub(crate) reason: &'static str,
}

const EVERY_KIND: &[Kind] = &[Kind::CPython, Kind::WithoutVenv, Kind::PyPy];
const EVERY: Who = Who {
    kinds: EVERY_KIND,
    minor_min: 6,
    minor_max: None,
};
const ALWAYS: When = When {
    text: "",
    holds: |_| true,
};
const WITH_PIP: When = When {
    text: "with pip",
    holds: |cell| cell.pip,
};

const BELOW_ACL: When = When {
    text: "in a directory with a default ACL",
    holds: |cell| cell.parent == Parent::Acl,
};

/// The interpreters for rules about pip: Debian's Python without python3-venv bundles none.
const BRINGS_PIP: Who = Who {
    kinds: &[Kind::CPython, Kind::PyPy],
    ..EVERY
};

const DEBIANS_PYPY: Who = Who {
    kinds: &[Kind::PyPy],
    ..EVERY
};

const ANY: Rule = Rule {
    path: "",
    what: What::RvenvAlone,
    actions: &ACTIONS,
    when: ALWAYS,
    who: EVERY,
    is_needed: true,
    reason: "",
};

/// The first rule that matches explains a difference.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        path: ".rvenv*",
        reason: "the engine's own directory: the receipt, and what an upgrade replaced",
        ..ANY
    },
    Rule {
        path: "pyvenv.cfg: rvenv",
        reason: "tools can tell who built it",
        ..ANY
    },
    Rule {
        path: "bin/activate_this.py",
        reason: "an additional activation script, for programs that embed Python",
        ..ANY
    },
    Rule {
        path: "bin/activate.nu",
        reason: "an additional activation script, for nushell",
        ..ANY
    },
    Rule {
        path: "bin/activate.xsh",
        reason: "an additional activation script, for xonsh",
        ..ANY
    },
    Rule {
        path: "bin/Activate.ps1",
        who: Who {
            minor_max: Some(7),
            ..EVERY
        },
        reason: "venv has it since 3.8, rvenv for every version",
        ..ANY
    },
    Rule {
        path: "bin/Activate.ps1",
        what: What::Bytes,
        who: Who {
            minor_min: 8,
            ..EVERY
        },
        reason: "rvenv has one set of scripts for every version, with its own text",
        ..ANY
    },
    Rule {
        path: "bin/activate",
        what: What::Bytes,
        reason: "rvenv has its own text, which quotes every path and prompt",
        ..ANY
    },
    Rule {
        path: "bin/activate.csh",
        what: What::Bytes,
        reason: "rvenv has its own text, which quotes every path and prompt",
        ..ANY
    },
    Rule {
        path: "bin/activate.fish",
        what: What::Bytes,
        reason: "rvenv has its own text, which quotes every path and prompt",
        ..ANY
    },
    Rule {
        path: ".gitignore",
        what: What::Bytes,
        when: When {
            text: "unless `--without-scm-ignore-files` is given and none existed",
            holds: |cell| cell.ignored || [Action::Over, Action::Upgrade].contains(&cell.action),
        },
        who: Who {
            minor_min: 13,
            ..EVERY
        },
        reason: "the comment names the tool that made the environment",
        ..ANY
    },
    Rule {
        path: "bin/pip*",
        what: What::Bytes,
        when: WITH_PIP,
        who: BRINGS_PIP,
        reason: "rvenv's own launcher starts the same entry point and works from any path",
        ..ANY
    },
    Rule {
        path: "bin/easy_install*",
        what: What::Bytes,
        when: WITH_PIP,
        who: Who {
            minor_max: Some(7),
            ..BRINGS_PIP
        },
        reason: "rvenv's own launcher starts the same entry point and works from any path",
        ..ANY
    },
    Rule {
        path: "*.dist-info/RECORD: ../../../bin/*",
        what: What::Bytes,
        when: WITH_PIP,
        who: BRINGS_PIP,
        reason: "the digest and length of rvenv's own launcher",
        ..ANY
    },
    Rule {
        path: "*.dist-info/RECORD: *.pyc",
        what: What::VenvAlone,
        when: WITH_PIP,
        who: BRINGS_PIP,
        reason: "rvenv lists only files that exist, so that all can be verified",
        ..ANY
    },
    Rule {
        path: "*__pycache__",
        what: What::VenvAlone,
        when: WITH_PIP,
        who: BRINGS_PIP,
        reason: "nothing is compiled without `--compile-bytecode`; Python compiles when needed",
        ..ANY
    },
    Rule {
        path: "*.pyc",
        what: What::VenvAlone,
        when: WITH_PIP,
        who: BRINGS_PIP,
        reason: "nothing is compiled without `--compile-bytecode`; Python compiles when needed",
        ..ANY
    },
    Rule {
        path: "share*",
        what: What::VenvAlone,
        when: WITH_PIP,
        who: DEBIANS_PYPY,
        reason: "its ensurepip leaves copies of the wheels that pip was installed from",
        ..ANY
    },
    Rule {
        path: "bin/activate.csh",
        actions: &[Action::Upgrade],
        reason: "an upgrade restores a deleted script; venv does not",
        ..ANY
    },
    Rule {
        path: "pyvenv.cfg: prompt",
        actions: &[Action::Upgrade],
        when: When {
            text: "without `--prompt`",
            holds: |cell| cell.prompt.is_none(),
        },
        who: Who {
            minor_min: 8,
            ..EVERY
        },
        reason: "an upgrade keeps the prompt; venv takes it only from its options",
        ..ANY
    },
    Rule {
        path: "pyvenv.cfg: include-system-site-packages",
        what: What::Bytes,
        actions: &[Action::Upgrade],
        when: When {
            text: "without `--system-site-packages`",
            holds: |cell| !cell.system,
        },
        reason: "an upgrade keeps the access to the system's packages; venv takes it only from its options",
        ..ANY
    },
    Rule {
        path: "pyvenv.cfg: command",
        what: What::Bytes,
        actions: &[Action::Upgrade],
        when: When {
            text: "without `--prompt` or without `--system-site-packages`",
            holds: |cell| cell.prompt.is_none() || !cell.system,
        },
        who: Who {
            minor_min: 11,
            ..EVERY
        },
        is_needed: true,
        reason: "it has the options that were kept",
    },
    Rule {
        path: "bin/*ctivate*",
        what: What::Acl,
        when: BELOW_ACL,
        reason: "rvenv leaves the ACL that `open` gives; the mode of venv's template reduces the mask",
        ..ANY
    },
    Rule {
        path: "*.dist-info/*",
        what: What::Acl,
        when: When {
            text: "with pip, in a directory with a default ACL",
            holds: |cell| cell.pip && cell.parent == Parent::Acl,
        },
        who: BRINGS_PIP,
        reason: "rvenv leaves the ACL that `open` gives; pip creates the file under another name and \
                 sets its mode, which reduces the mask",
        ..ANY
    },
    Rule {
        path: "*site-packages/pip/*",
        what: What::Acl,
        when: When {
            text: "with pip, in a directory with a default ACL",
            holds: |cell| cell.pip && cell.parent == Parent::Acl,
        },
        who: BRINGS_PIP,
        // The pip of Python 3.14 has such files, the pip of 3.13.0 none.
        is_needed: false,
        reason: "rvenv leaves the ACL that `open` gives; pip sets the mode of a file that is \
                 executable in its wheel, which reduces the mask",
        ..ANY
    },
    Rule {
        path: "bin/*thon*",
        what: What::Acl,
        when: When {
            text: "with `--copies`, in a directory with a default ACL",
            holds: |cell| cell.copies && cell.parent == Parent::Acl,
        },
        reason: "rvenv leaves the ACL that `open` gives; venv sets mode 0755, which reduces the mask",
        ..ANY
    },
    Rule {
        path: ALL,
        what: What::VenvIsNotRun,
        when: When {
            text: "with `--copies`",
            holds: |cell| cell.copies,
        },
        who: DEBIANS_PYPY,
        reason: "venv copies the directory of the library, which is all of `/usr/lib`",
        ..ANY
    },
    Rule {
        path: ALL,
        what: What::BothFail,
        when: WITH_PIP,
        who: Who {
            kinds: &[Kind::WithoutVenv],
            ..EVERY
        },
        reason: "there is no pip to install; rvenv writes nothing, venv leaves a part of an environment",
        ..ANY
    },
];

impl Rule {
    /// Whether the rule applies to this cell of this interpreter.
    pub(crate) fn is_about(&self, subject: &Subject, cell: &Cell) -> bool {
        let minor = subject.python.version.1;
        self.actions.contains(&cell.action)
            && (self.when.holds)(cell)
            && self.who.kinds.contains(&subject.kind)
            && minor >= self.who.minor_min
            && self.who.minor_max.is_none_or(|max| minor <= max)
    }

    pub(crate) fn names(&self, path: &str) -> bool {
        matches(self.path, path)
    }
}

/// Whether a pattern matches: `*` matches any text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| matches(rest, &text[at..]))
        }),
    }
}
