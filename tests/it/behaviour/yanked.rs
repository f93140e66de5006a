//! Releases that an index has yanked (PEP 592), in a lock whose wheels the index has.
//!
//! An index on loopback; no other network.

use std::fs;

use super::locks::{Bench, bench};
use crate::machine::{Ended, ended};
use crate::server::{Server, empty, page, serve};

/// An index whose page of each project has these links, and the wheels of a bench.
fn index(bench: &Bench, links: &str) -> Server {
    let (house, links) = (bench.house.clone(), links.to_owned());
    Server::new(
        move |seen, stream| match seen.path.strip_prefix("/files/") {
            Some(file) => serve(seen, stream, &fs::read(house.join(file))?),
            None if seen.path == "/simple/alpha/" => page(stream, "text/html", links.as_bytes()),
            None => empty(stream, "404 Not Found"),
        },
    )
}

fn link(file: &str, more: &str) -> String {
    format!("<a href='/files/{file}' {more}>{file}</a>\n")
}

/// Syncs `E` with a lock of two wheels of one release.
fn sync(bench: &Bench, servers: &[&Server]) -> Ended {
    let (first, digest) = bench.wheel("alpha", "1.0");
    let newer = "alpha-1.0-2-py3-none-any.whl";
    let house = &bench.house;
    fs::copy(house.join(first), house.join(newer)).unwrap();
    let lock = format!("alpha==1.0 --hash=sha256:{digest}\n");
    bench.write("lock.txt", &lock);
    let python = bench.python.to_str().unwrap();
    let create = [
        "create", "E", "--clear", "--python", python, "-r", "lock.txt",
    ];
    let mut command = bench.scratch.command(&create);
    for (option, server) in ["--index-url", "--extra-index-url"].iter().zip(servers) {
        command.args([*option, &server.url("/simple")]);
    }
    command.env_remove("PIP_NO_INDEX");
    ended(&mut command)
}

/// The names of the wheels that were fetched.
fn fetched(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let paths = seen
        .iter()
        .filter_map(|seen| seen.path.strip_prefix("/files/"));
    paths.map(str::to_owned).collect()
}

#[test]
fn a_yanked_wheel_is_used_only_if_there_is_no_other_and_with_a_warning() {
    let Some(bench) = bench() else { return };
    let newer = link("alpha-1.0-2-py3-none-any.whl", "data-yanked='it is broken'");
    let older = "alpha-1.0-py3-none-any.whl";
    let yanked = index(&bench, &newer);
    let ended = sync(&bench, &[&yanked]);
    let warning = "warning: `alpha` 1.0 was yanked from its index: it is broken";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    ended.ok();
    // Another wheel of the release, or another index, has what nobody withdrew.
    let rm = || fs::remove_dir_all(bench.scratch.cache()).unwrap();
    rm();
    let both = index(&bench, &(newer.clone() + &link(older, "")));
    let ended = sync(&bench, &[&both]);
    assert!(!ended.stderr.contains("yanked"), "{}", ended.stderr);
    ended.ok();
    assert_eq!(fetched(&both), [older]);
    rm();
    let other = index(&bench, &link(older, ""));
    let ended = sync(&bench, &[&yanked, &other]);
    assert!(!ended.stderr.contains("yanked"), "{}", ended.stderr);
    ended.ok();
    assert_eq!(fetched(&other), [older]);
}
