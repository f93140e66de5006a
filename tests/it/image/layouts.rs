//! OCI layouts: the same on two machines, copied by `skopeo`, unpacked by `umoci` and run.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use rvenv_journal::Digest;
use serde_json::Value;

use super::{Ground, TWO, bytes, ground, stranger};
use crate::behaviour::schemas::fitting;
use crate::machine::ended;
use crate::mounts::has;
use crate::registry::registry;
use crate::sandbox::OTHER_USER;
use crate::trees::{Sameness, compare, look};

/// Copies an interpreter, with what it needs to start, into a root.
const BRING: &str = r#"
import os, shutil, subprocess, sys, sysconfig
root = sys.argv[1]
def bring(path):
    to = root + path
    os.makedirs(os.path.dirname(to), exist_ok=True)
    shutil.copy(path, to)
python = sys._base_executable
for path in {python, os.path.realpath(python)}:
    bring(path)
needs = subprocess.run(["ldd", python], capture_output=True, text=True).stdout
for word in needs.split():
    if word.startswith("/"):
        bring(word)
library = sysconfig.get_path("stdlib")
for folder in ["", "/collections", "/encodings", "/importlib", "/re"]:
    for name in os.listdir(library + folder):
        if name.endswith(".py"):
            bring(library + folder + "/" + name)
os.makedirs(sysconfig.get_path("platstdlib").join([root, "/lib-dynload"]), exist_ok=True)
"#;

/// A layout with an image that has the interpreter, made by `umoci`.
fn base(ground: &Ground) -> Option<PathBuf> {
    if !has("umoci") {
        return None;
    }
    let scratch = &ground.bench.scratch;
    let (root, layout) = (scratch.path("root"), scratch.path("base"));
    let words = ["-I", "-c", BRING, root.to_str().unwrap()];
    scratch.run(&ground.bench.python, &words).ok();
    let umoci = || {
        let mut umoci = Command::new("umoci");
        umoci.current_dir(scratch.path(""));
        umoci
    };
    stranger(umoci().args(["init", "--layout", "base"]));
    stranger(umoci().args(["new", "--image", "base:latest"]));
    let set = ["config", "--image", "base:latest", "--config.env", "LANG=C"];
    stranger(umoci().args(set));
    stranger(umoci().args(["insert", "--image", "base:latest", "root", "/"]));
    Some(layout)
}

#[test]
fn an_image_runs_on_a_base_that_has_the_interpreter() {
    let Some(ground) = ground() else { return };
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may change the root of a program");
        return;
    }
    let Some(base) = base(&ground) else { return };
    ground.plan("p.json", TWO);
    let base = base.to_str().unwrap();
    let made = ground.image(&["p.json", "-o", "img", "--base", base]);
    assert_eq!(made["base_layers"], 1);
    let scratch = &ground.bench.scratch;
    let unpack = ["unpack", "--image", "img:latest", "bundle"];
    stranger(
        Command::new("umoci")
            .args(unpack)
            .current_dir(scratch.path("")),
    );
    let root = scratch.path("bundle/rootfs");
    let target = made["target"].as_str().unwrap();
    let code = "import alpha, beta, os, sys; print(sys.prefix, alpha.__file__)";
    let said = stranger(
        Command::new("chroot")
            .arg(&root)
            .args([&format!("{target}/bin/python"), "-B", "-c", code])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    );
    assert!(
        said.starts_with(&format!("{target} {target}/lib/")),
        "{said}"
    );
    // It is the environment that is published here.
    ground.rvenv(&["apply", "p.json"]).ok();
    let inside = look(&root.join(target.trim_start_matches('/')));
    compare(&look(Path::new(target)), &inside, Sameness::Alike).unwrap();
    // What the base says stays.
    let config = fs::read_to_string(scratch.path("bundle/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let env: Vec<&str> = config["process"]["env"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(env.contains(&"LANG=C"), "{env:?}");
    assert!(
        env.contains(&format!("VIRTUAL_ENV={target}").as_str()),
        "{env:?}"
    );
    let path = env.iter().find(|line| line.starts_with("PATH=")).unwrap();
    assert!(path.starts_with(&format!("PATH={target}/bin:")), "{path}");
}

#[test]
fn the_same_plan_has_the_same_image_on_two_machines() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let scratch = &ground.bench.scratch;
    let first = ground.image(&["p.json", "-o", "img"]);
    ground.image(&["p.json", "-o", "img.tar"]);
    let there = scratch.path("there");
    fs::create_dir(&there).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    let as_other = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let rvenv = env!("CARGO_BIN_EXE_rvenv");
    for out in ["there/img", "there/img.tar"] {
        let mut command = if is_root {
            chown(&there, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
            let mut command = scratch.program(Path::new("setpriv"), "077");
            command.args(as_other).arg(rvenv);
            command
        } else {
            scratch.program(Path::new(rvenv), "077")
        };
        command
            .args(["image", "p.json", "-o", out])
            .env("HOME", &there)
            .env("RVENV_CACHE_DIR", there.join("cache"))
            .env("LC_ALL", "C")
            .env("TZ", "Asia/Tokyo");
        let said = ended(&mut command).ok();
        let digest = first["sha256"].as_str().unwrap();
        assert_eq!(said, format!("sha256:{digest}\n"));
    }
    for name in ["img", "img.tar"] {
        assert!(
            bytes(&scratch.path(name)) == bytes(&there.join(name)),
            "{name}"
        );
    }
    // The environment that the plan makes has the image of the plan.
    ground.rvenv(&["apply", "p.json"]).ok();
    let house = ground.bench.house.to_str().unwrap();
    let words = ["E", "-o", "third", "--no-index", "--wheelhouse", house];
    let third = ground.image(&words);
    assert_eq!(first["layers"], third["layers"]);
    assert_eq!(first["sha256"], third["sha256"]);
    // So has what a registry has of it.
    if let Some(registry) = registry() {
        let there = registry.oci("team/app:v1");
        let there = ground.rvenv(&["push", "p.json", &there]).ok();
        let fourth = ground.image(&[there.trim(), "-o", "fourth", "--no-index"]);
        assert_eq!(first["sha256"], fourth["sha256"]);
    }
    // At another path it is another one.
    let words = ["image", "--json", "p.json", "-o", "at", "--at", "/opt/app"];
    let at = fitting("image", &words, &ground.rvenv(&words));
    assert_eq!(at["target"], "/opt/app");
    assert_ne!(first["sha256"], at["sha256"]);
    assert_eq!(ground.litter(), Vec::<String>::new());
}

#[test]
fn bytecode_is_in_an_image_and_compiled_only_where_that_is_allowed() {
    let Some(ground) = ground() else { return };
    ground.plan_with("p.json", TWO, &["--compile-bytecode"]);
    let first = ground.image(&["p.json", "-o", "img"]);
    ground.plan("q.json", TWO);
    let without = ground.image(&["q.json", "-o", "without"]);
    assert!(first["size"].as_u64() > without["size"].as_u64());
    ground.rvenv(&["cache", "clear"]).ok();
    let words = ["image", "p.json", "-o", "again"];
    let said = ground.rvenv(&words).failed(1);
    assert!(said.contains("compile-failed"), "{said}");
    assert!(said.contains("--compile-bytecode"), "{said}");
    let again = ground.image(&["p.json", "-o", "again", "--compile-bytecode"]);
    assert_eq!(first["sha256"], again["sha256"]);
}

#[test]
fn a_changed_wheel_changes_its_layer_and_the_last_one() {
    let Some(ground) = ground() else { return };
    let layers = |file: &str, releases: &[(&str, &str)]| {
        ground.plan(file, releases);
        let made = ground.image(&[file, "-o", &format!("{file}.img")]);
        made["layers"].as_array().unwrap().clone()
    };
    let all = [("alpha", "1.0"), ("beta", "1.0"), ("gamma", "1.0")];
    let old = layers("p.json", &all);
    let new = layers("q.json", &[("alpha", "2.0"), all[1], all[2]]);
    let changed: Vec<&str> = new
        .iter()
        .filter(|layer| !old.contains(layer))
        .filter_map(|layer| layer["what"].as_str())
        .collect();
    let [package, last] = changed.as_slice() else {
        panic!("{changed:?}");
    };
    assert!(
        package.contains("alpha-2.0") && !package.contains("beta"),
        "{package}"
    );
    assert_eq!(*last, "the environment itself");
    assert!(new.len() > 2, "{new:#?}");
}

#[test]
fn skopeo_copies_an_image_into_a_registry_and_back_with_its_digest() {
    let Some(ground) = ground() else { return };
    let Some(registry) = registry() else { return };
    if !has("skopeo") {
        return;
    }
    ground.plan("p.json", TWO);
    let made = ground.image(&["p.json", "-o", "img"]);
    ground.image(&["p.json", "-o", "img.tar"]);
    let there = format!("docker://{}/team/app:v1", registry.address);
    let skopeo = |words: &[&str]| {
        let mut skopeo = Command::new("skopeo");
        skopeo.arg("--insecure-policy").args(words);
        stranger(skopeo.current_dir(ground.bench.scratch.path("")))
    };
    for image in ["oci:img", "oci-archive:img.tar:latest"] {
        let to = ["copy", "--preserve-digests", "--dest-tls-verify=false"];
        skopeo(&[&to[..], &[image, &there]].concat());
        let back = ["copy", "--preserve-digests", "--src-tls-verify=false"];
        skopeo(&[&back[..], &[&there, "oci:back:v1"]].concat());
        let said = skopeo(&["inspect", "--format", "{{.Digest}}", "oci:back:v1"]);
        let digest = made["sha256"].as_str().unwrap();
        assert_eq!(said.trim(), format!("sha256:{digest}"), "{image}");
        fs::remove_dir_all(ground.bench.scratch.path("back")).unwrap();
    }
}

#[test]
fn nothing_is_replaced_but_an_image_of_the_same_form() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    ground.plan("q.json", &[("alpha", "2.0")]);
    let scratch = &ground.bench.scratch;
    let refused = |words: &[&str], why: &str| {
        let said = ground.rvenv(&[&["image", "q.json"], words].concat());
        let said = said.failed(3);
        assert!(said.contains(why), "{words:?}: {said}");
    };
    for out in ["img", "img.tar"] {
        ground.image(&["p.json", "-o", out]);
        let old = bytes(&scratch.path(out));
        refused(&["-o", out], "exists");
        assert!(bytes(&scratch.path(out)) == old);
        let new = ground.image(&["q.json", "-o", out, "--force"]);
        ground.image(&["q.json", "-o", &format!("other.{out}")]);
        assert!(bytes(&scratch.path(out)) == bytes(&scratch.path(&format!("other.{out}"))));
        assert_eq!(new["layers"].as_array().unwrap().len(), 2);
    }
    // A directory with anything else stays, and so does a link.
    fs::create_dir(scratch.path("home")).unwrap();
    std::os::unix::fs::symlink("img", scratch.path("link")).unwrap();
    for out in ["home", "link"] {
        refused(&["-o", out, "--force"], "is not an OCI layout");
    }
    fs::create_dir(scratch.path("home.tar")).unwrap();
    refused(&["-o", "home.tar", "--force"], "is not a tar archive");
    fs::write(scratch.path("notes"), "mine").unwrap();
    let words = ["-o", "notes", "--force", "--format"];
    for (form, why) in [
        ("squashfs", "a squashfs image"),
        ("erofs", "an erofs image"),
    ] {
        refused(&[&words[..], &[form]].concat(), &format!("is not {why}"));
    }
    let missing = ground
        .rvenv(&["image", "p.json", "-o", "absent/img"])
        .failed(1);
    assert!(missing.contains("cannot write the image"), "{missing}");
    assert_eq!(ground.litter(), Vec::<String>::new());
}

#[test]
fn a_base_that_cannot_be_one_is_refused_and_named() {
    let Some(ground) = ground() else { return };
    ground.plan("p.json", TWO);
    let scratch = &ground.bench.scratch;
    let made = ground.image(&["p.json", "-o", "base"]);
    let index = fs::read_to_string(scratch.path("base/index.json")).unwrap();
    let architecture = made["architecture"].as_str().unwrap();
    let twice = {
        let mut index: Value = serde_json::from_str(&index).unwrap();
        let images = index["manifests"].as_array_mut().unwrap();
        let mut other = images[0].clone();
        other["digest"] = format!("sha256:{}", Digest::of(b"other")).into();
        images.push(other);
        index.to_string()
    };
    let layer = made["layers"][0]["sha256"].as_str().unwrap();
    let cases = [
        ("index.json".to_owned(), "{}".to_owned(), "is malformed"),
        (
            "index.json".to_owned(),
            index.replace(architecture, "s390x"),
            "it has no image for",
        ),
        ("index.json".to_owned(), twice, "it has 2 images"),
        (
            "index.json".to_owned(),
            index.replace("sha256:", "sha512:"),
            "is malformed",
        ),
        (
            format!("blobs/sha256/{layer}"),
            "other".to_owned(),
            "is damaged",
        ),
    ];
    for (file, text, why) in cases {
        let path = scratch.path("base").join(&file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let words = ["image", "p.json", "-o", "img", "--base", "base"];
        let said = ground.rvenv(&words).failed(3);
        assert!(said.contains(why), "{file}: {said}");
        fs::write(&path, whole).unwrap();
    }
    assert!(!scratch.path("img").exists());
    assert_eq!(ground.litter(), Vec::<String>::new());
}
