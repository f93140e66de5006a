//! Requirements, markers and ranges against `packaging`, the library that pip uses: of 20,000
//! generated texts the same ones are read, with the same answers.
//!
//! One start of an interpreter answers all of them. The library comes out of the newest wheel of
//! pip that an interpreter on this machine bundles; without one, the test is skipped.

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;

/// How many requirements, and how many ranges.
const EACH: usize = 10_000;
/// The releases of pip whose `packaging` has one set of rules: an older one reads versions of the
/// time before PEP 440, a newer one takes previews where nothing else fits.
const PIPS: RangeInclusive<u32> = 24..=25;

const ANSWER: &str = r#"
import json, sys
sys.path.insert(0, sys.argv[1])
from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from pip._vendor.packaging.specifiers import InvalidSpecifier, SpecifierSet
from pip._vendor.packaging.utils import canonicalize_name
from pip._vendor.packaging.version import InvalidVersion
variables = json.loads(sys.stdin.readline())
def fits(specifiers, versions, previews):
    def fit(version):
        try:
            return specifiers.contains(version, prereleases=previews)
        except InvalidVersion:
            return False
    return [fit(version) for version in versions]
def answer(case):
    try:
        if "range" in case:
            specifiers = SpecifierSet(case["range"])
            return {"admits": fits(specifiers, case["versions"], None),
                    "includes": fits(specifiers, case["versions"], True)}
        read = Requirement(case["requirement"])
        holds = read.marker is None or read.marker.evaluate(variables)
        return {"name": canonicalize_name(read.name), "holds": holds,
                "includes": fits(read.specifier, case["versions"], True)}
    except (InvalidRequirement, InvalidSpecifier):
        return None
    except (UndefinedComparison, UndefinedEnvironmentName, InvalidVersion, KeyError):
        # It reads the text, and cannot say what it means.
        return "raises"
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
"#;

/// Numbers that are the same in every run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }

    fn space(&mut self) -> &'static str {
        self.of(&["", "", "", " ", "  "])
    }

    fn version(&mut self) -> String {
        let mut text = self.of(&["", "", "", "", "v", "1!"]).to_owned();
        for part in 0..=self.below(4) {
            let dot = if part == 0 { "" } else { "." };
            let _infallible = write!(text, "{dot}{}", self.of(&["0", "1", "2", "3", "10", "01"]));
        }
        text += self.of(&["", "", "", "", "a1", "b2", "rc1", ".rc.1", "-alpha", "c"]);
        text += self.of(&["", "", "", "", ".post1", "-1", ".rev", "-r2"]);
        text += self.of(&["", "", "", "", ".dev0", ".dev3", "dev"]);
        text += self.of(&["", "", "", "", "", "+abc", "+1.b-2"]);
        text
    }

    fn specifier(&mut self) -> String {
        let operators = ["==", "!=", ">=", "<=", "<", ">", "~=", "==="];
        let operator = self.of(&operators);
        let space = self.space();
        let version = self.version();
        let is_prefix = matches!(operator, "==" | "!=") && self.one_in(3);
        if is_prefix || operator == "~=" || self.one_in(60) {
            let numbers = format!("{}.{}", self.of(&["1", "2.0", "3"]), self.below(12));
            let version = if self.one_in(4) { version } else { numbers };
            let star = if is_prefix { ".*" } else { "" };
            return format!("{operator}{space}{version}{star}");
        }
        format!("{operator}{space}{version}")
    }

    fn range(&mut self) -> String {
        let count = 1 + self.below(3);
        let mut text = String::new();
        for at in 0..count {
            if at > 0 {
                let comma = format!("{},{}", self.space(), self.space());
                text += &comma;
            }
            text += &self.specifier();
        }
        text
    }

    fn comparison(&mut self) -> String {
        let variables = [
            "python_version",
            "python_full_version",
            "implementation_version",
            "implementation_name",
            "os_name",
            "sys_platform",
            "platform_machine",
            "platform_system",
            "platform_python_implementation",
            "extra",
            "os.name",
            "sys.platform",
            "platform.python_implementation",
            "python_implementation",
            "unknown",
        ];
        let values = [
            "3.8",
            "3.11",
            "3.11.7",
            "3.*",
            "3.11.*",
            "3.9 3.11",
            "linux",
            "win32",
            "posix",
            "nt",
            "cpython",
            "CPython",
            "x86_64",
            "x86_64 arm64",
            "Linux",
            "",
            "test",
            "Test_x",
            "4",
        ];
        let operators = [
            "==", "!=", "<", "<=", ">", ">=", "~=", "===", "in", "not in", "not  in",
        ];
        let quote = self.of(&["'", "\""]);
        let value = format!("{quote}{}{quote}", self.of(&values));
        let bound = if self.one_in(30) { variables.len() } else { 10 };
        let variable = variables[self.below(bound)].to_owned();
        let (left, right) = match self.below(40) {
            0 => (value.clone(), value),
            1..=9 => (value, variable),
            _ => (variable, value),
        };
        let operator = self.of(&operators);
        let space = if operator.ends_with("in") {
            " "
        } else {
            self.space()
        };
        format!("{left}{space}{operator}{space}{right}")
    }

    pub(crate) fn marker(&mut self, depth: usize) -> String {
        let mut text = String::new();
        for at in 0..=self.below(3) {
            if at > 0 {
                text += self.of(&[" and ", " or ", "  or  "]);
            }
            let inner = if depth > 0 && self.one_in(4) {
                format!("({})", self.marker(depth - 1))
            } else {
                self.comparison()
            };
            text += &inner;
        }
        text
    }

    fn requirement(&mut self) -> String {
        let names = ["idna", "Ruamel.Yaml_x", "a", "zope.interface", "A1", "x-"];
        let mut text = self.of(&names).to_owned();
        text += self.space();
        text += self.of(&["", "", "", "[socks]", "[a, b_c]", "[ ]", "", "", "[a,]"]);
        text += self.space();
        let range = self.range();
        let source = match self.below(8) {
            0 | 1 => String::new(),
            2 => format!("({range})"),
            3 => "@ https://host/p.whl#sha256=0;1".to_owned(),
            4 => "@ file:///p.whl ".to_owned(),
            _ => range,
        };
        text += &source;
        text += self.space();
        if !self.one_in(3) {
            let marker = format!(";{}{}", self.space(), self.marker(2));
            text += &marker;
        }
        text
    }

    /// The same text with one character more, less, or another one, now and then.
    pub(crate) fn mutilated(&mut self, text: &str) -> String {
        if !self.one_in(6) {
            return text.to_owned();
        }
        let mut chars: Vec<char> = text.chars().collect();
        let at = self.below(chars.len() + 1);
        let new = self.of(&[
            " ", ",", ";", "(", ")", "[", "]", "'", "=", "<", ".", "*", "x", "1", "é",
        ]);
        let new = new.chars().next().unwrap();
        match self.below(3) {
            0 => chars.insert(at, new),
            _ if at == chars.len() => {}
            1 => drop(chars.remove(at)),
            _ => chars[at] = new,
        }
        chars.into_iter().collect()
    }

    fn case(&mut self, is_range: bool) -> Value {
        let versions: Vec<String> = (0..4).map(|_| self.version()).collect();
        if is_range {
            let range = self.range();
            json!({"range": self.mutilated(&range), "versions": versions})
        } else {
            let requirement = self.requirement();
            json!({"requirement": self.mutilated(&requirement), "versions": versions})
        }
    }
}

fn variables() -> Variables {
    [
        ("python_version", "3.11"),
        ("python_full_version", "3.11.7"),
        ("implementation_version", "3.11.7"),
        ("implementation_name", "cpython"),
        ("platform_python_implementation", "CPython"),
        ("os_name", "posix"),
        ("sys_platform", "linux"),
        ("platform_system", "Linux"),
        ("platform_machine", "x86_64"),
        ("platform_release", ""),
        ("platform_version", ""),
        ("extra", ""),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

/// The answer of the code beside this file.
fn own(case: &Value) -> Value {
    let versions = case["versions"].as_array().unwrap().iter();
    let versions: Vec<&str> = versions.map(|version| version.as_str().unwrap()).collect();
    let of = |fits: &dyn Fn(&str) -> bool| -> Vec<bool> {
        versions.iter().map(|version| fits(version)).collect()
    };
    if let Some(range) = case["range"].as_str() {
        return match Specifiers::parse(range) {
            Ok(range) => json!({
                "admits": of(&|version| range.admit(version)),
                "includes": of(&|version| range.include(version)),
            }),
            Err(_) => Value::Null,
        };
    }
    let text = case["requirement"].as_str().unwrap();
    let Some(read) = Requirement::parse(text, &variables()) else {
        return Value::Null;
    };
    let fits = |version: &str| {
        read.versions
            .as_ref()
            .is_none_or(|range| range.include(version))
    };
    json!({"name": read.name, "holds": read.holds, "includes": of(&fits)})
}

/// Whether a text has `~=` with a version that is not in its normal form.
fn has_own_spelling(case: &Value) -> bool {
    let texts = [&case["range"], &case["requirement"]].into_iter();
    let texts = texts.filter_map(|text| text.as_str());
    let parts = texts.flat_map(|text| text.split("~=").skip(1));
    let mut versions = parts.map(|part| part.trim().split([',', ';', ')', ' ']).next().unwrap());
    versions.any(|version| {
        Specifiers::parse(&format!("==={version}")).is_ok_and(|same| !same.include(version))
    })
}

/// Whether the text of a `===` in a requirement ends at a comma.
fn has_comma_in_text(case: &Value) -> bool {
    let text = case["requirement"].as_str().unwrap_or_default();
    let mut parts = text.split("===").skip(1).map(str::trim_start);
    parts.any(|part| part.split([' ', ';', ')']).next().unwrap().contains(','))
}

fn orders_texts(case: &Value) -> bool {
    let read = Specified::parse(case["requirement"].as_str().unwrap_or_default());
    let marker = read.and_then(|read| read.marker);
    marker.is_some_and(|marker| marker.orders_texts())
}

/// Why two answers differ, if they may.
fn reason(case: &Value, answer: &Value, own: &Value) -> Option<&'static str> {
    let same = |key: &str| answer[key] == own[key];
    let range = case["range"].as_str().unwrap_or_default();
    let reasons = [
        (
            answer == "raises",
            "`packaging` reads a comparison that it cannot make; pip fails there",
        ),
        (
            has_own_spelling(case),
            "`packaging` compares the spelling of what follows `~=`: no version begins with `v1`",
        ),
        (
            answer["name"]
                .as_str()
                .is_some_and(|name| name.ends_with('-')),
            "`packaging` reads names that end with `_`, which no specification allows",
        ),
        (
            orders_texts(case),
            "`packaging` before 26 orders texts by their bytes; newer ones do not order them",
        ),
        (
            answer.is_null() && has_comma_in_text(case),
            "`packaging` takes a comma right after the text of `===` for a part of that text",
        ),
        (
            same("includes") && range.contains(['<', '>']),
            "`packaging` before 24.2 admits no preview for `<` and `>` with a preview",
        ),
    ];
    let found = reasons.into_iter().find(|(is_it, _)| *is_it);
    found.map(|(_, reason)| reason)
}

/// The newest bundled pip on this machine, and an interpreter that can read it.
fn pip() -> Option<(PathBuf, PathBuf)> {
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    let mut prefixes = vec![PathBuf::from("/usr"), PathBuf::from("/usr/local")];
    let versions = std::fs::read_dir(home.join(".pyenv/versions"));
    prefixes.extend(
        versions
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    let mut found = Vec::new();
    for prefix in prefixes {
        for minor in 8..20 {
            let bundled = prefix.join(format!("lib/python3.{minor}/ensurepip/_bundled"));
            for wheel in std::fs::read_dir(bundled).into_iter().flatten().flatten() {
                let name = wheel.file_name().into_string().unwrap_or_default();
                let version = name
                    .strip_prefix("pip-")
                    .and_then(|rest| rest.split('-').next());
                let major = version.and_then(|version| version.split('.').next()?.parse().ok());
                if major.is_some_and(|major: u32| PIPS.contains(&major)) {
                    found.push((
                        name,
                        prefix.join(format!("bin/python3.{minor}")),
                        wheel.path(),
                    ));
                }
            }
        }
    }
    found.sort();
    found.pop().map(|(_, python, wheel)| (python, wheel))
}

#[test]
fn packaging_gives_the_same_answers() {
    let Some((python, wheel)) = pip() else {
        println!("skipped: no Python that bundles pip 24 or 25 on this machine");
        return;
    };
    let mut chance = Chance(0x5eee);
    let cases: Vec<Value> = (0..2 * EACH).map(|at| chance.case(at < EACH)).collect();
    let mut child = Command::new(&python)
        .args(["-I", "-c", ANSWER])
        .arg(&wheel)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = format!("{}\n", json!(variables()));
    for case in &cases {
        let _infallible = writeln!(lines, "{case}");
    }
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), cases.len());
    let mut different = Vec::new();
    let mut read = 0;
    for (case, answer) in cases.iter().zip(answers.lines()) {
        let answer: Value = serde_json::from_str(answer).unwrap();
        read += usize::from(!answer.is_null());
        let own = own(case);
        if own != answer && reason(case, &answer, &own).is_none() {
            different.push(format!("{case}\n  packaging: {answer}\n  rvenv:     {own}"));
        }
    }
    // Otherwise the texts would say nothing.
    assert!(read > EACH / 2, "{read} of the texts were read");
    let shown = different.len().min(60);
    assert!(
        different.is_empty(),
        "{}:\n{}",
        different.len(),
        different[..shown].join("\n")
    );
}
