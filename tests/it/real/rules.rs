//! The differences between what rvenv, uv and pip install from one lock, each with its reason.
//!
//! `parity.rs` fails for a difference that no rule names, and for a rule that nothing needs. The
//! document has a row for each rule, so that it is the same on every machine.

use std::fmt::Write as _;

/// The installer that made the other tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Uv,
    Pip,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Pip => "pip",
        }
    }
}

/// How the packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without bytecode, umask 022.
    Plain,
    /// Each tool compiles bytecode.
    Bytecode,
    /// Without bytecode, umask 077.
    Strict,
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    RvenvAlone,
    PeerAlone,
    Bytes,
    /// Text around the same interpreter and entry point.
    Launcher,
    Mode,
    /// Rows of a RECORD in another order.
    Order,
}

impl What {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::RvenvAlone => "only rvenv has it",
            Self::PeerAlone => "only the other has it",
            Self::Bytes | Self::Launcher => "different text",
            Self::Mode => "different mode",
            Self::Order => "different order",
        }
    }
}

pub(crate) struct Rule {
    /// The path in the environment; `*` matches any text. A row of a RECORD follows after `: `.
    pub(crate) path: &'static str,
    pub(crate) what: What,
    pub(crate) peers: &'static [Peer],
    pub(crate) ways: &'static [Way],
    pub(crate) reason: &'static str,
}

pub(crate) const PEERS: [Peer; 2] = [Peer::Uv, Peer::Pip];
pub(crate) const WAYS: [Way; 3] = [Way::Plain, Way::Bytecode, Way::Strict];

const ANY: Rule = Rule {
    path: "",
    what: What::Bytes,
    peers: &PEERS,
    ways: &WAYS,
    reason: "",
};

/// The first rule that matches explains a difference.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        path: ".rvenv/receipt.json",
        reason: "the receipt lists what rvenv published; without packages, less",
        ..ANY
    },
    Rule {
        path: ".lock",
        what: What::PeerAlone,
        peers: &[Peer::Uv],
        reason: "uv leaves the file that it locks",
        ..ANY
    },
    Rule {
        path: "*.dist-info/INSTALLER",
        reason: "the name of the tool that installed the package; its digest in RECORD",
        ..ANY
    },
    Rule {
        path: "bin/*",
        what: What::Launcher,
        reason: "rvenv's own launcher starts the same entry point with the same interpreter",
        ..ANY
    },
    Rule {
        path: "*.dist-info/RECORD: ../../../bin/*",
        reason: "the digest and length of rvenv's own launcher",
        ..ANY
    },
    Rule {
        path: "*.dist-info/RECORD",
        what: What::Mode,
        peers: &[Peer::Uv],
        ways: &[Way::Plain, Way::Bytecode],
        reason: "rvenv and pip write a RECORD with mode 0644; uv keeps that of the wheel",
    },
    Rule {
        path: "*.dist-info/uv_cache.json",
        what: What::PeerAlone,
        peers: &[Peer::Uv],
        reason: "uv notes the time of a wheel that comes from a directory, also in RECORD",
        ..ANY
    },
    Rule {
        path: "*bin/__pycache__*",
        what: What::PeerAlone,
        peers: &[Peer::Pip],
        ways: &[Way::Bytecode],
        reason: "pip compiles scripts too; Python never reads this bytecode",
    },
    Rule {
        path: "*.dist-info/RECORD: *.pyc",
        what: What::RvenvAlone,
        peers: &[Peer::Uv],
        ways: &[Way::Bytecode],
        reason: "rvenv lists bytecode as pip does, without a digest; uv does not",
    },
    Rule {
        path: "*.pyc",
        ways: &[Way::Bytecode],
        reason: "bytecode has the time of its source: that in the wheel, not that of installing; and \
                 it is the same for every environment, so that Python adds the path",
        ..ANY
    },
    Rule {
        path: "*",
        what: What::Mode,
        ways: &[Way::Strict],
        reason: "what a lock names has modes 0755 and 0644 on every machine; uv and pip obey the umask",
        ..ANY
    },
];

impl Rule {
    pub(crate) fn is_about(&self, peer: Peer, way: Way) -> bool {
        self.peers.contains(&peer) && self.ways.contains(&way)
    }
}

/// The part of `docs/parity.md` about packages.
pub(crate) fn document() -> String {
    let mut text = String::from(HEAD);
    for rule in RULES {
        let how = rule.what.text();
        let peers: Vec<_> = rule.peers.iter().map(|peer| peer.name()).collect();
        let when = match rule.ways {
            [Way::Bytecode] => "with bytecode",
            [Way::Strict] => "umask 077",
            [Way::Plain, Way::Bytecode] => "umask 022",
            _ => "always",
        };
        let (path, peers) = (rule.path, peers.join(", "));
        writeln!(
            text,
            "| `{path}` | {how} | {peers} | {when} | {} |",
            rule.reason
        )
        .unwrap();
    }
    text
}

const HEAD: &str = "
## Packages, compared with those of uv and pip

`tests/it/real/` installs a lock of ninety real packages (compiled, with data, scripts, namespaces
and extras) on each Python from 3.10 to 3.14: with `rvenv create -r`, with `uv pip sync` and with
`pip install --require-hashes`, into the same empty environment at the same path. It compares every
path, kind, mode, link target and byte, and each RECORD row by row. This table has every difference
that is accepted. Any other difference fails the test, and so does a row that nothing needs. The
newest Python is compared with bytecode too, and under umask 077. `.ci/real` runs the test.

| what | how | than | when | why |
|---|---|---|---|---|
";
