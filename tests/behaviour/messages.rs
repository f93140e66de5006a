//! Messages: what is counted agrees with its number, and what a child says is quoted as it was said.

use std::fs;

use crate::machine::{Scratch, player};

fn played() -> Scratch {
    let scratch = Scratch::new();
    player(&scratch, "python");
    scratch
}

#[test]
fn one_of_something_is_told_in_the_singular() {
    let scratch = played();
    scratch
        .rvenv(&["create", "-p", "./python", "--without-pip", "E"])
        .ok();
    let site = scratch.path("E/lib/python3.13/site-packages");
    fs::write(site.join("mine.py"), "").unwrap();
    let dist_info = site.join("demo-1.0.dist-info");
    fs::create_dir(&dist_info).unwrap();
    fs::write(dist_info.join("METADATA"), "Name: demo\nVersion: 1.0\n").unwrap();
    fs::write(dist_info.join("RECORD"), "demo-1.0.dist-info/RECORD,,\n").unwrap();
    let said = scratch.rvenv(&["verify", "E"]).stdout;
    for line in [
        "\ndistributions: 1, which lists 1 file\n",
        "\nforeign: 2 paths that nothing lists\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    fs::remove_file(site.join("mine.py")).unwrap();
    fs::remove_file(dist_info.join("METADATA")).unwrap();
    fs::remove_file(dist_info.join("RECORD")).unwrap();
    fs::write(scratch.path("E/notes"), "").unwrap();
    let said = scratch.rvenv(&["verify", "E"]).stdout;
    assert!(
        said.contains("\nforeign: 1 path that nothing lists\n"),
        "{said}"
    );
}
