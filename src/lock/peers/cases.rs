//! The cases: markers, locks and lines, most of them right and some with one thing wrong.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::wheel::requirement::peers::Chance;

/// What the cases are made by.
pub(super) struct Cases(pub(super) Chance);

impl Cases {
    pub(super) fn some(&mut self, names: &[&str]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for name in names {
            if self.0.one_in(3) {
                found.push((*name).to_owned());
            }
        }
        found
    }

    pub(super) fn marker(&mut self) -> String {
        let chance = &mut self.0;
        let contained = |chance: &mut Chance| {
            let name = chance.of(&["dev", "Fast_IO", "fast-io", "docs", ""]);
            let operator = chance.of(&["in", "in", "not in", "=="]);
            let container = chance.of(&["extras", "dependency_groups"]);
            format!("'{name}' {operator} {container}")
        };
        match chance.below(4) {
            0 => contained(chance),
            1 => {
                let joint = chance.of(&["and", "or"]);
                let other = contained(chance);
                format!("({}) {joint} {other}", chance.marker(1))
            }
            2 => {
                let value = chance.of(&["5.10", "6.1.0", "4", "x"]);
                let operator = chance.of(&[">=", "<", "==", "in", "~="]);
                format!("platform_release {operator} '{value}'")
            }
            _ => chance.marker(2),
        }
    }

    fn wheel(&mut self, package: &str, version: &str) -> String {
        let chance = &mut self.0;
        let tags = [
            "py3-none-any",
            "py2.py3-none-any",
            "py2-none-any",
            "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "cp312-cp312-manylinux_2_28_x86_64",
            "cp313-cp313-musllinux_1_2_x86_64",
            "cp38-abi3-manylinux_2_17_x86_64",
            "cp311-abi3-linux_x86_64",
            "py3-none-manylinux1_x86_64",
            "cp312-cp312-win_amd64",
            "cp311-cp311-macosx_11_0_arm64",
        ];
        let name = match chance.below(30) {
            0 => "other",
            _ => package,
        };
        let version = match chance.below(30) {
            0 => "9.9",
            _ => version,
        };
        format!(
            "{}-{version}-{}.whl",
            name.replace('-', "_"),
            chance.of(&tags)
        )
    }

    fn file(&mut self, name: &str) -> String {
        let digits = ["a", "b"].map(|digit| digit.repeat(64));
        let hashes = match self.0.below(40) {
            0 => String::new(),
            1 => ", hashes = {}".to_owned(),
            2 => ", hashes = 1".to_owned(),
            3 => format!(", hashes = {{ md5 = 'x', sha256 = '{}' }}", digits[0]),
            _ => format!(", hashes = {{ sha256 = '{}' }}", digits[1]),
        };
        let place = self
            .0
            .of(&["url = 'https://h/p/", "path = 'w/", "path = '"]);
        let size = self
            .0
            .of(&["", "", ", size = 3", ", upload-time = 2026-01-02T03:04:05Z"]);
        format!("{{ {place}{name}'{size}{hashes} }}")
    }

    fn package(&mut self) -> String {
        let names = [
            "demo",
            "tool",
            "zope-interface",
            "a",
            "b",
            "c",
            "d",
            "Bad_Name",
        ];
        let bound = if self.0.one_in(30) { 8 } else { 7 };
        let name = names[self.0.below(bound)];
        let version = self
            .0
            .of(&["1.0", "1.0", "2.0.post1", "1.0+local.1", "1!3"]);
        let mut text = format!("[[packages]]\nname = '{name}'\n");
        if !self.0.one_in(5) {
            let _infallible = writeln!(text, "version = '{version}'");
        }
        if self.0.one_in(3) {
            let marker = self.marker();
            let _infallible = writeln!(text, "marker = '''{marker}'''");
        }
        if self.0.one_in(6) {
            let range = self
                .0
                .of(&[">=3.8", ">=3.11,<4", "<3.10", "~=3.11", "nonsense"]);
            let _infallible = writeln!(text, "requires-python = '{range}'");
        }
        let extra = [
            "index = 'https://h'",
            "tool = { x = 1 }",
            "tool = 1",
            "index = 3",
        ];
        if self.0.one_in(5) {
            let bound = if self.0.one_in(5) { 4 } else { 2 };
            let extra = extra[self.0.below(bound)];
            let _infallible = writeln!(text, "{extra}");
        }
        if self.0.one_in(12) {
            text += match self.0.below(4) {
                0 => "directory = { path = '.' }\n",
                1 => "vcs = { type = 'git', url = 'https://h/r', commit-id = 'c' }\n",
                2 => "vcs = { type = 'git', url = 'https://h/r' }\n",
                _ => "directory = { editable = true }\n",
            };
        }
        if self.0.one_in(12) {
            let wheel = self.wheel(name, version);
            let file = self.file(&wheel);
            let _infallible = writeln!(text, "archive = {file}");
            return text;
        }
        if self.0.one_in(6) {
            let sdist = format!("{}-{version}.tar.gz", name.replace('-', "_"));
            let file = self.file(&sdist);
            let _infallible = writeln!(text, "sdist = {file}");
        }
        let mut wheels: Vec<String> = Vec::new();
        for _ in 0..self.0.below(5) {
            let wheel = self.wheel(name, version);
            let file = self.file(&wheel);
            wheels.push(file);
        }
        let _infallible = writeln!(text, "wheels = [{}]", wheels.join(", "));
        text
    }

    pub(super) fn lock(&mut self) -> Value {
        let version = match self.0.below(20) {
            0 => self.0.of(&["2.0", "1.5", "0.9", "x", "1"]),
            _ => "1.0",
        };
        let mut text = format!("lock-version = '{version}'\ncreated-by = 'test'\n");
        if self.0.one_in(3) {
            let range = self
                .0
                .of(&[">=3.8", ">=3.9", ">=3.14", "<3.9", "!=3.0.*,>=3"]);
            let _infallible = writeln!(text, "requires-python = '{range}'");
        }
        if self.0.one_in(4) {
            let markers = [
                "sys_platform == \"linux\"",
                "os_name == \"nt\"",
                "python_version > \"3\"",
            ];
            let markers: Vec<String> = self
                .some(&markers)
                .iter()
                .map(|one| format!("'{one}'"))
                .collect();
            let _infallible = writeln!(text, "environments = [{}]", markers.join(", "));
        }
        text += "extras = ['fast-io', 'docs']\ndependency-groups = ['dev', 'Docs']\n";
        if self.0.one_in(2) {
            text += "default-groups = ['dev']\n";
        }
        let count = self.0.below(5);
        if count == 0 {
            text += "packages = []\n";
        }
        for _ in 0..count {
            let package = self.package();
            text += &package;
        }
        let extras = self.some(&["Fast_IO", "docs"]);
        let groups = match self.0.below(3) {
            0 => json!(self.some(&["DEV", "docs"])),
            _ => Value::Null,
        };
        let unknown = self.0.one_in(30);
        let extras = if unknown {
            vec!["nothing".to_owned()]
        } else {
            extras
        };
        json!({"lock": text, "extras": extras, "groups": groups})
    }

    pub(super) fn lines(&mut self) -> Value {
        let parts = [
            "a==1",
            " ",
            " ",
            " ",
            "\n",
            "\n",
            "\\\n",
            " \\\n",
            "#",
            " # x",
            "--hash=sha256:1",
            "-r x",
            "${TOKEN}",
            "${EMPTY}",
            "${none}",
            "$",
            "'",
            "\"",
            "\\",
            ";",
            "\r\n",
            "\t",
            "@",
            "é",
            "-",
        ];
        let mut text = String::new();
        for _ in 0..self.0.below(12) {
            text += self.0.of(&parts);
        }
        json!({"lines": text})
    }
}
