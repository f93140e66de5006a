//! Sources that are not built: because the caller does not allow it, because the archive is not
//! what it should be, or because its backend fails. The error says why and nothing is left.

use std::fs;

use super::sources::yard;
use crate::trees::{Sameness, compare, look};

#[test]
fn without_builds_no_backend_starts() {
    let Some(yard) = yard() else { return };
    yard.project("\nopen(LOG, 'a').write('imported')\n");
    yard.lock("directory = { path = 'project' }\n");
    let url = format!("demo @ file://{}", yard.scratch.path("project").display());
    fs::write(
        yard.scratch.path("plain.txt"),
        "# a comment\nother\n-e project\n",
    )
    .unwrap();
    fs::write(yard.scratch.path("urls.txt"), format!("other>1\n{url}\n")).unwrap();
    for words in [
        &["install", "./project", "--no-build"][..],
        &["install", "-e", "project", "--no-build"],
        &["install", &url, "--no-build"],
        &["install", "git+file:///nowhere", "--no-build"],
        &["install", "-r", "plain.txt", "--no-build"],
        &["install", "-r", "urls.txt", "--no-build"],
        &["sync", "-r", "pylock.toml", "--no-build"],
        &["sync", "-r", "pylock.toml"],
        &["sync", "-r", "pylock.toml", "--build", "--no-build"],
    ] {
        let said = yard.scratch.rvenv(&[words, &["--env", "E"]].concat());
        assert!(matches!(said.code, Some(2 | 3)), "{words:?}: {said:?}");
        assert!(
            said.stderr.contains("has to be built"),
            "{words:?}: {}",
            said.stderr
        );
    }
    assert_eq!((yard.built(), yard.workshops()), (0, Vec::new()));
    let said = yard
        .scratch
        .rvenv(&["lock", "./project", "--no-build", "-o", "pylock.x.toml"]);
    assert!(said.failed(3).contains("has to be built"));
    assert_eq!(yard.built(), 0);
}

#[test]
fn what_is_wrong_with_a_backend_is_said() {
    let Some(yard) = yard() else { return };
    let before = look(&yard.scratch.path("E"));
    for (code, whys) in [
        (
            "\ndef build_wheel(*_):\n    print('no compiler')\n    raise SystemExit(7)\n",
            &[
                "`build_wheel` of its backend `own` failed: exit code 7",
                "no compiler",
            ][..],
        ),
        (
            "\n1 / 0\n",
            &["its backend `own` cannot be imported", "ZeroDivisionError"],
        ),
        (
            "\ndel build_wheel\n",
            &["its backend `own` has no `build_wheel`"],
        ),
        (
            "\nNAME = 'other'\n",
            &["its backend made `other-1.0-py3-none-any.whl`, which is not `demo` 1.0"],
        ),
        ("\nVERSION = '2'\n", &["which is not `demo` 1.0"]),
        (
            "\nNAME = 'demo'\nold = wheel\ndef wheel(where, files):\n    name = old(where, files)\n    \
             os.rename(where + '/' + name, where + '/demo-1.0-cp27-none-any.whl')\n    \
             return 'demo-1.0-cp27-none-any.whl'\n",
            &["which is for another interpreter"],
        ),
        (
            "\ndef build_wheel(*_):\n    return '../x.whl'\n",
            &["which is no file that it made"],
        ),
        (
            "\ndef get_requires_for_build_wheel(*_):\n    return ['demo']\n",
            &["what its backend needs cannot be installed: demo"],
        ),
        (
            "\ndef get_requires_for_build_wheel(*_):\n    return 3\n",
            &["a list of requirements"],
        ),
    ] {
        yard.sdist(code);
        let said = yard.sync(&["--build"]).failed(1);
        for why in [&["cannot build `demo` 1.0"], whys].concat() {
            assert!(said.contains(why), "{why}: {said}");
        }
        assert_eq!(yard.workshops(), [""; 0], "{said}");
    }
    yard.project("\ndel build_editable\n");
    yard.lock("directory = { path = 'project', editable = true }\n");
    let said = yard.sync(&["--build"]).failed(1);
    assert!(
        said.contains("has no `build_editable`") && said.contains("PEP 660"),
        "{said}"
    );
    compare(&before, &look(&yard.scratch.path("E")), Sameness::Exact).unwrap();
}

#[test]
fn an_archive_with_another_hash_is_not_unpacked() {
    let Some(yard) = yard() else { return };
    yard.sdist("");
    let path = yard.scratch.path("demo-1.0.tar.gz");
    let mut bytes = fs::read(&path).unwrap();
    bytes.push(0);
    fs::write(&path, bytes).unwrap();
    let said = yard.sync(&["--build"]).failed(1);
    assert!(said.contains("demo-1.0.tar.gz"), "{said}");
    assert_eq!((yard.built(), yard.workshops()), (0, Vec::new()));
}
