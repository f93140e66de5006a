//! Wheels whose archive is sound and whose contents are not: names that lead elsewhere, RECORDs and
//! metadata that lie, and files that would replace those of the environment.

use super::archive::{Member, Wheel, entry, of_mode, record_row, rename};
use super::{Ground, Row, WHEEL, all_refused, lock_of};

fn named(what: &'static str, name: &str, why: &str) -> Row {
    Row::of_wheel(what, Wheel::new().with(entry(name, b"evil")).bytes(), why)
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let ground = Ground::new();
    let outside = ground.scratch.path("planted");
    let with = |name: &str| Wheel::new().with(entry(name, b"evil")).bytes();
    let mut not_text = with("demo/evil");
    rename(&mut not_text, "demo/evil", b"demo/\xff\xfe\x80\xff");
    let rows = [
        named("climbing", "../../planted", "component `..`"),
        named(
            "climbing later",
            "demo/../../../../../planted",
            "component `..`",
        ),
        Row::of_wheel("absolute", with(outside.to_str().unwrap()), "is absolute"),
        named("of a drive", "C:/planted", "is absolute"),
        named(
            "of another system",
            "demo\\..\\planted",
            "has the character '\\\\'",
        ),
        named("with a NUL", "demo/a\0b", "has the character '\\0'"),
        named("with a line end", "demo/a\nb", "has the character '\\n'"),
        named(
            "with an escape sequence",
            "demo/a\x1b[2Jb",
            "has the character",
        ),
        named("with an empty component", "demo//evil", "component ``"),
        named("with a component `.`", "demo/./evil", "component `.`"),
        Row::of_wheel("not UTF-8", not_text, "has a name that is not UTF-8"),
        named("too deep", &"d/".repeat(200), "too long"),
        named("too long", &"n".repeat(300), "too long"),
    ];
    all_refused(&ground, &rows);
}

#[test]
fn links_devices_and_pipes_are_refused() {
    let of_kind = |what, mode| {
        let member = of_mode("demo/evil", b"/etc/passwd", mode);
        let why = "the entry `demo/evil` is neither a regular file";
        Row::of_wheel(what, Wheel::new().with(member).bytes(), why)
    };
    let directory = of_mode("demo/evil/", b"x", 0o040_755);
    let rows = [
        of_kind("a link", 0o120_777),
        of_kind("a character device", 0o020_666),
        of_kind("a block device", 0o060_666),
        of_kind("a pipe", 0o010_644),
        of_kind("a socket", 0o140_644),
        of_kind("a directory with the name of a file", 0o040_755),
        Row::of_wheel(
            "a directory with contents",
            Wheel::new().with(directory).bytes(),
            "the entry `demo/evil/` is neither a regular file",
        ),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn two_entries_in_one_place_are_refused() {
    let pair = |one: &str, other: &str| {
        let wheel = Wheel::new().with(entry(one, b"1"));
        wheel.with(entry(other, b"2")).bytes()
    };
    let collide = |what, one, other, why| Row::of_wheel(what, pair(one, other), why);
    let mut twice = pair("demo/one.py", "demo/two.py");
    rename(&mut twice, "demo/two.py", b"demo/one.py");
    let scripts = "[console_scripts]\nevil = demo:main\nEvil = demo:main\n";
    let rows = [
        Row::of_wheel("one name", twice, "two entries have the same name"),
        collide(
            "by their case",
            "demo/Evil.py",
            "demo/evil.py",
            "where case is ignored",
        ),
        collide(
            "by the case of a directory",
            "demo/A/x",
            "demo/a/y",
            "where case is ignored",
        ),
        collide(
            "by the case of a letter that is not ASCII",
            "demo/\u{434}",
            "demo/\u{414}",
            "where case is ignored",
        ),
        collide(
            "a file that is a directory",
            "demo/a",
            "demo/a/y",
            "both a file and a directory",
        ),
        collide(
            "of two kinds of data",
            "demo/own.py",
            "demo-1.0.data/purelib/demo/own.py",
            "two files have the path",
        ),
        collide(
            "a file where the metadata needs a directory",
            "demo/x",
            "demo-1.0.data/purelib/demo-1.0.dist-info",
            "both a file and a directory",
        ),
        Row::of_wheel(
            "two commands by their case",
            Wheel::new().entry_points(scripts.as_bytes()).bytes(),
            "where case is ignored",
        ),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn what_record_does_not_vouch_for_is_refused() {
    let own = Wheel::new().info("RECORD");
    let evil = || Wheel::new().with(entry("demo/evil.py", b"evil"));
    let listed = record_row("demo/evil.py", b"evil");
    let instead = |what, row: &str, why: &str| {
        let record = |right: &str| right.replace(&listed, row);
        Row::of_wheel(what, evil().bytes_with_record(record), why)
    };
    let added = |what, row: &str, why: &str| instead(what, &format!("{listed}{row}"), why);
    let sum = listed.split(',').nth(1).unwrap();
    let rows = [
        Row::of_wheel(
            "no RECORD",
            super::archive::zipped(&[entry("demo-1.0.dist-info/METADATA", b"")]),
            "it has no `demo-1.0.dist-info/RECORD`",
        ),
        Row::of_wheel(
            "an empty RECORD",
            evil().bytes_with_record(|_| String::new()),
            "is not listed in RECORD",
        ),
        instead(
            "a file that is not listed",
            "",
            "the entry `demo/evil.py` is not listed",
        ),
        instead(
            "other bytes",
            &record_row("demo/evil.py", b"good"),
            "has the SHA-256",
        ),
        instead(
            "another length",
            &listed.replace(",4\n", ",5\n"),
            "has 5 bytes, the archive",
        ),
        instead(
            "no hash",
            "demo/evil.py,,\n",
            "lists `demo/evil.py` without a hash",
        ),
        instead(
            "a weak hash",
            "demo/evil.py,md5=AAAA,4\n",
            "only sha256 is supported",
        ),
        instead(
            "a hash that is none",
            "demo/evil.py,sha256=!,4\n",
            "not a SHA-256",
        ),
        instead(
            "two columns",
            "demo/evil.py,\n",
            "does not have three columns",
        ),
        instead(
            "a length below zero",
            &format!("demo/evil.py,{sum},-4\n"),
            "is not a number",
        ),
        added(
            "an absent file",
            "demo/absent.py,,\n",
            "which the archive does not have",
        ),
        added(
            "a file outside",
            "../../../../../outside,,\n",
            "lists `../../../../../outside`, which the archive does not have",
        ),
        added(
            "two rows for one file",
            &record_row("demo/evil.py", b"good"),
            "contradicts an earlier row",
        ),
        added(
            "an escape sequence",
            "demo/\x1b[2J,,\n",
            "which the archive does not have",
        ),
        added("a quote that is not closed", &format!("\"{own}"), "RECORD"),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn metadata_that_lies_is_refused() {
    let wheel = Wheel::new;
    let metadata = |what, text: &[u8], why: &str| {
        let member = entry("demo-1.0.dist-info/METADATA", text);
        Row::of_wheel(what, wheel().with(member).bytes(), why)
    };
    let format = |what, text: &[u8], why: &str| {
        let member = entry("demo-1.0.dist-info/WHEEL", text);
        Row::of_wheel(what, wheel().with(member).bytes(), why)
    };
    let other = "but METADATA says";
    let rows = [
        metadata(
            "another name",
            b"Metadata-Version: 2.1\nName: pip\nVersion: 1.0\n",
            other,
        ),
        metadata(
            "another version",
            b"Metadata-Version: 2.1\nName: demo\nVersion: 2.0\n",
            other,
        ),
        metadata(
            "a name with a path",
            b"Name: ../demo\nVersion: 1.0\n",
            other,
        ),
        metadata(
            "a version with a path",
            b"Name: demo\nVersion: 1.0/../..\n",
            other,
        ),
        metadata(
            "no name",
            b"Version: 1.0\n",
            "`METADATA` has no `Name` header",
        ),
        metadata(
            "no version",
            b"Name: demo\n\nVersion: 1.0\n",
            "has no `Version` header",
        ),
        metadata(
            "no text",
            b"Name: demo\nVersion: 1.0\nX: \xff\n",
            "is not UTF-8",
        ),
        Row::of_wheel(
            "no METADATA",
            wheel().without("demo-1.0.dist-info/METADATA").bytes(),
            "it has no `demo-1.0.dist-info/METADATA`",
        ),
        Row::of_wheel(
            "no WHEEL",
            wheel().without("demo-1.0.dist-info/WHEEL").bytes(),
            "it has no `demo-1.0.dist-info/WHEEL`",
        ),
        format(
            "a newer format",
            b"Wheel-Version: 2.0\n",
            "Wheel-Version `2.0` is not 1.x",
        ),
        format(
            "no format",
            b"Root-Is-Purelib: true\n",
            "no `Wheel-Version` header",
        ),
        Row::of_wheel(
            "the metadata of another distribution",
            Wheel::of("other", "1.0").bytes(),
            "but the metadata directory says `other-1.0.dist-info`",
        ),
        Row::of_wheel(
            "the metadata of another version",
            Wheel::of("demo", "2.0").bytes(),
            "but the metadata directory says `demo-2.0.dist-info`",
        ),
        Row::of_wheel(
            "the metadata of two distributions",
            wheel()
                .with(entry("pip-99.dist-info/METADATA", b""))
                .bytes(),
            "it has two metadata directories",
        ),
        Row::of_wheel(
            "no metadata",
            super::archive::zipped(&[entry("demo/__init__.py", b"")]),
            "it has no `*.dist-info` directory",
        ),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn files_of_the_environment_itself_and_places_that_are_none_are_refused() {
    let data = |what, name: &str, why: &str| {
        let member = entry(&format!("demo-1.0.data/{name}"), b"#!python\n");
        Row::of_wheel(what, Wheel::new().with(member).bytes(), why)
    };
    let reserved = "belongs to the environment itself";
    let nowhere = "there is no place to install the entry";
    let rows = [
        data("the interpreter", "scripts/python", reserved),
        data(
            "the interpreter by its version",
            "scripts/Python3.13",
            reserved,
        ),
        data("the configuration", "data/pyvenv.cfg", reserved),
        data("a script of rvenv's", "data/bin/activate", reserved),
        data(
            "a script of rvenv's for another shell",
            "scripts/activate.fish",
            reserved,
        ),
        data(
            "the engine's directory",
            "data/.rvenv/receipt.json",
            ".rvenv",
        ),
        data(
            "what git ignores",
            "data/.gitignore",
            "with `.gitignore` of the environment",
        ),
        data(
            "a file in place of the scripts",
            "data/bin",
            "with `bin` of the environment",
        ),
        data(
            "a file in place of the packages",
            "data/lib",
            "`lib` is both a file and a directory",
        ),
        data(
            "a file below the configuration",
            "data/pyvenv.cfg/x",
            "which collides with `pyvenv.cfg` of the environment itself",
        ),
        data(
            "a file below a link",
            "data/lib64/python3.13/site-packages/evil.py",
            "which collides with `lib64` of the environment itself",
        ),
        data(
            "a file below the interpreter",
            "data/bin/python/x",
            "which collides with `bin/python` of the environment itself",
        ),
        data(
            "a file in place of the link",
            "data/lib64",
            "with `lib64` of the environment",
        ),
        data(
            "the metadata of another distribution",
            "purelib/pip-99.dist-info/METADATA",
            "would be the metadata of another distribution",
        ),
        data(
            "the same by its path",
            "data/lib/python3.13/site-packages/Pip-99.DIST-INFO/METADATA",
            "would be the metadata of another distribution",
        ),
        data("a scheme that does not exist", "stdlib/os.py", nowhere),
        data("no scheme", "evil", nowhere),
        data("a script in a directory", "scripts/a/evil", nowhere),
        data(
            "a climbing header",
            "headers/../../evil.h",
            "component `..`",
        ),
        Row::of_wheel(
            "the data of another distribution",
            Wheel::new()
                .with(entry("pip-99.data/scripts/evil", b"#!python\n"))
                .bytes(),
            nowhere,
        ),
    ];
    all_refused(&Ground::new(), &rows);
}

#[test]
fn commands_that_escape_are_refused() {
    let points = |what, text: &[u8], why: &str| {
        let text = [b"[console_scripts]\n", text].concat();
        Row::of_wheel(what, Wheel::new().entry_points(&text).bytes(), why)
    };
    // Each would become a file.
    let many: String = (0..400_000)
        .map(|number| number.to_string() + "=a:b\n")
        .collect();
    let many = many.into_bytes();
    let name = "which is not a valid name of a script";
    let value = "which is not `module:attribute`";
    let rows = [
        points("climbing", b"../evil = demo:main\n", name),
        points("absolute", b"/tmp/evil = demo:main\n", name),
        points("in a directory", b"a/evil = demo:main\n", name),
        points("of another system", b"..\\evil = demo:main\n", name),
        points("the directory above", b".. = demo:main\n", name),
        points("without a name", b" = demo:main\n", name),
        points("with an escape sequence", b"a\x1b[2J = demo:main\n", name),
        points(
            "the interpreter",
            b"python3 = demo:main\n",
            "belongs to the environment itself",
        ),
        points(
            "a script of rvenv's",
            b"activate = demo:main\n",
            "belongs to the environment",
        ),
        points("code in the module", b"x = os; evil():main\n", value),
        points("code in the attribute", b"x = os:system('evil')\n", value),
        points(
            "a line end in the module",
            b"x = os\rimport evil:main\n",
            value,
        ),
        points(
            "a line end of Unicode",
            "x = os:a\u{2028}evil\n".as_bytes(),
            value,
        ),
        points(
            "one name twice",
            b"x = demo:a\nx = demo:b\n",
            "repeats the name `x`",
        ),
        points(
            "no command",
            b"x\n",
            "line 2 is not `name = module:attribute`",
        ),
        points("far too many", &many, "it has more than 10000 scripts"),
        points("no text", b"x = demo:\xff\n", "is not UTF-8"),
    ];
    all_refused(&Ground::new(), &rows);
}

/// A lock of two wheels, which has the file of the second one in its message.
fn of_two(what: &'static str, one: &[Member], other: &[Member], why: &str) -> Row {
    let wheel = |name: &str, members: &[Member]| {
        let members = members.iter().cloned();
        members.fold(Wheel::of(name, "1.0"), Wheel::with).bytes()
    };
    let (one, other) = (wheel("demo", one), wheel("other", other));
    let file = "other-1.0-py3-none-any.whl";
    let second = lock_of(file, &other).replace("'demo'", "'other'");
    let second = second.split_once("created-by = 'hand'\n").unwrap().1;
    Row {
        wheels: vec![(WHEEL, one.clone()), (file, other)],
        ..Row::of_lock(what, &format!("{}{second}", lock_of(WHEEL, &one)), why)
    }
    .code(1)
    .says(&["other", why])
}

#[test]
fn packages_that_own_one_path_are_refused() {
    let at = |name: &str| vec![entry(name, name.as_bytes())];
    let site = "lib/python3.13/site-packages";
    let of_demo = |path: &str| format!("which collides with `{site}/{path}` of `{WHEEL}`");
    let rows = [
        of_two(
            "other bytes",
            &at("shared.py"),
            &[entry("shared.py", b"evil")],
            &format!("both have `{site}/shared.py`, with different contents"),
        ),
        of_two(
            "a file for a directory",
            &at("shared"),
            &at("shared/x.py"),
            &of_demo("shared"),
        ),
        of_two(
            "a directory for a file",
            &at("shared/x.py"),
            &at("shared"),
            &of_demo("shared"),
        ),
        of_two(
            "by case",
            &at("shared/x.py"),
            &at("Shared/y.py"),
            &of_demo("shared"),
        ),
        of_two(
            "the data of another",
            &at("a.py"),
            &[entry("demo-1.0.data/purelib/x", b"")],
            "there is no place to install the entry `demo-1.0.data/purelib/x`",
        ),
    ];
    all_refused(&Ground::new(), &rows);
}
