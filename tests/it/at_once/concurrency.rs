//! Many processes at once: they create one environment, read it meanwhile, or die as lock holders.
//!
//! All creators succeed and one environment exists; a reader sees a complete one at every instant
//! (I3). `RVENV_ROUNDS=20` repeats more often.

#![cfg(unix)]
#![expect(clippy::disallowed_methods, reason = "tests start the real command")]

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::trees::{Ended, Lab, Sameness, compare, end, look};

fn rounds() -> u32 {
    let asked = std::env::var("RVENV_ROUNDS").ok();
    asked.and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[test]
fn sixteen_creators_make_one_environment() {
    let Some(lab) = Lab::new() else { return };
    let flags: &[&str] = if lab.has_pip { &[] } else { &["--without-pip"] };
    let words = lab.create(flags);
    assert_eq!(end(&mut lab.rvenv(&words)).code, Some(0));
    let reference = look(&lab.target());
    for round in 0..rounds() {
        fs::remove_dir_all(lab.target()).unwrap();
        let creators: Vec<_> = (0..16)
            .map(|_| lab.rvenv(&words).spawn().unwrap())
            .collect();
        let ends = creators
            .into_iter()
            .map(|child| Ended::from(child.wait_with_output().unwrap()));
        let ends: Vec<_> = ends.collect();
        assert!(
            ends.iter().all(|ended| ended.code == Some(0)),
            "round {round}: {ends:?}"
        );
        let created = ends
            .iter()
            .filter(|ended| ended.story.contains("Created"))
            .count();
        assert_eq!(created, 1, "round {round}: {ends:?}");
        assert_eq!(
            compare(&reference, &look(&lab.target()), Sameness::Alike),
            Ok(())
        );
        assert_eq!(lab.litter(), [""; 0]);
        if lab.has_pip {
            let python = lab.target().join("bin/python");
            let checked = Command::new(python)
                .args(["-I", "-B", "-m", "pip", "check"])
                .output()
                .unwrap();
            assert!(checked.status.success(), "round {round}: {checked:?}");
        }
    }
}

/// I3: a clear is one exchange, so no look-up ever finds nothing.
#[test]
fn readers_always_find_a_whole_environment_while_it_is_cleared() {
    let Some(lab) = Lab::new() else { return };
    let mut words = lab.create(&["--without-pip"]);
    words.push("--clear".to_owned());
    end(&mut lab.rvenv(&words));
    words.push("-v".to_owned());
    let cleared = end(&mut lab.rvenv(&words));
    assert_eq!(cleared.code, Some(0), "{}", cleared.story);
    if cleared.story.contains("no exchange") {
        println!("skipped: this filesystem has no exchange");
        return;
    }
    let over = AtomicBool::new(false);
    let looks = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let config = fs::read_to_string(lab.target().join("pyvenv.cfg")).unwrap();
                assert!(
                    config.starts_with("home = ") && config.ends_with('\n'),
                    "{config}"
                );
                fs::read_link(lab.target().join("bin/python")).unwrap();
                looks += 1;
            }
            looks
        });
        for _ in 0..rounds() * 2 {
            let writers: Vec<_> = (0..3).map(|_| lab.rvenv(&words).spawn().unwrap()).collect();
            for writer in writers {
                let ended = Ended::from(writer.wait_with_output().unwrap());
                assert_eq!(ended.code, Some(0), "{}", ended.story);
            }
        }
        over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    println!("{looks} looks");
    assert_eq!(lab.litter(), [""; 0]);
}

/// Waiting commands name the holder, and a dead holder is no obstacle.
#[test]
fn a_lock_names_its_holder_and_dies_with_it() {
    let Some(lab) = Lab::new() else { return };
    let words = lab.create(&["--without-pip"]);
    let mut wrapper = vec![
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=symlinkat",
    ];
    let tried = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .output();
    if !tried.is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no strace to hold the holder up");
        return;
    }
    wrapper.extend(["-e", "inject=symlinkat:delay_enter=20000000:when=1"]);
    let mut holder = lab.under(&wrapper, &words).spawn().unwrap();
    let since = Instant::now();
    while !lab.litter().iter().any(|name| name.contains(".rvenv.new-")) {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "the holder never began"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut impatient = words.clone();
    impatient.extend(["--wait".to_owned(), "0".to_owned()]);
    let refused = end(&mut lab.rvenv(&impatient));
    assert_eq!(refused.code, Some(1), "{}", refused.story);
    assert!(
        refused.story.contains("locked by process "),
        "{}",
        refused.story
    );
    let (_, rest) = refused.story.split_once("locked by process ").unwrap();
    let pid: i32 = rest.split_whitespace().next().unwrap().parse().unwrap();
    let waiter = lab.rvenv(&words).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    // A tracer that sleeps keeps its process from dying.
    holder.kill().unwrap();
    let after = Ended::from(waiter.wait_with_output().unwrap());
    assert_eq!(after.code, Some(0), "{}", after.story);
    assert!(
        after.story.contains("Waiting for process "),
        "{}",
        after.story
    );
    assert_eq!(lab.litter(), [""; 0]);
    holder.wait().unwrap();
    lab.add_strangers(3);
    let before = look(&lab.target());
    assert_eq!(end(&mut lab.rvenv(&lab.recover())).code, Some(0));
    assert_eq!(
        compare(&before, &look(&lab.target()), Sameness::Exact),
        Ok(())
    );
}
