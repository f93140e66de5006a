//! A plan from any author, applied to a disk that holds more than its target.

use std::path::Path;

use rvenv_journal::fs::sim::SimFs;
use rvenv_journal::raw::{
    Effect, Expected, Grain, Identity, Input, Observation, Observed, PlanReadError,
};
use rvenv_journal::{
    Aftermath, Content, ContentError, ContentSource, Digest, Durability, Fetched, LinkMode, Mode,
    Node, Operation, Parents, Patience, Plan, PlanBuilder, Publication, RelPath, Retention,
    StageOptions, Target, Terms, Verdict, Wanted, observe,
};

use super::choices::Choices;
use super::disk::{Bounds, Objects, copy, histories, objects};
use crate::publication::{Case, Ground};

/// Where a hostile plan may try to write.
const TARGETS: [&str; 10] = [
    "/p/t", "/p/t", "/p/t", "/p/x", "/o/d", "/o/f", "/o/link", "/", "/p/a/b", "/p/t/bin",
];
const PATHS: [&str; 20] = [
    "bin",
    "bin/tool",
    "bin/old-tool",
    "bin/mine",
    "cfg",
    "link",
    "link/x",
    "mine",
    "package",
    "package/a",
    "package/c",
    "gone",
    "gone/x",
    "mixed",
    "mixed/y",
    "mixed/mine",
    "fresh",
    "fresh/f",
    "kept/l",
    "fresh/deep/er",
];
const LINKS: [&str; 6] = ["bin/tool", "/o", "/o/f", "../../o", "..", "."];
/// Replaces the identities of objects that a layer may have replaced.
const NONE: Identity = Identity {
    inode: 0,
    birth: None,
};
/// What the source of contents returns for every request.
const STORED: &[u8] = b"what is stored";

/// I1, I4, I6: any plan changes only its target and the engine's names beside it; it is published
/// as planned, or the target is as it was.
pub fn plan_apply(bytes: &[u8]) -> bool {
    let mut choices = Choices::new(bytes);
    let Some((case, base)) = choices.pick(histories()) else {
        return false;
    };
    let disk = copy(base);
    let plan = if choices.below(8) == 7 {
        sealed(choices.all())
    } else {
        made(&disk, &mut choices)
    };
    let Some(plan) = plan else { return false };
    let read = Plan::from_json(plan.to_json().as_bytes()).expect("what we write we can read");
    assert_eq!(read, plan);
    check(case, &disk, &plan, &mut choices)
}

/// The text of a plan with the right digest; a wrong one would be refused at once.
fn sealed(bytes: &[u8]) -> Option<Plan> {
    match Plan::from_json(bytes) {
        Ok(plan) => Some(plan),
        Err(PlanReadError::Digest { written, found }) => {
            let text = String::from_utf8_lossy(bytes).replacen(
                &written.to_string(),
                &found.to_string(),
                1,
            );
            Plan::from_json(text.as_bytes()).ok()
        }
        Err(_) => None,
    }
}

fn made(disk: &SimFs, choices: &mut Choices<'_>) -> Option<Plan> {
    let target = *choices.pick(&TARGETS)?;
    let mode = *choices.pick(&[Mode::SHARED_DIR, Mode::new(0o700).ok()?, Mode::ALL])?;
    let mut builder = PlanBuilder::new(target, mode).ok()?;
    for _ in 0..choices.below(14) {
        let Some(path) = path(choices) else { continue };
        if choices.below(4) == 3 {
            let _refused = builder.retire(path);
            continue;
        }
        let group = *choices.pick(&[None, Some("one"), Some("two")])?;
        let operation = Operation {
            part: "fuzz".into(),
            group: group.map(Into::into),
            node: node(choices),
        };
        let _refused = builder.add_parents(&path, "fuzz", group, Mode::SHARED_DIR);
        let _refused = builder.add(path, operation);
    }
    builder.set_order(
        (0..choices.below(3))
            .filter_map(|_| path(choices))
            .collect(),
    );
    if choices.below(8) == 7 {
        let digest = Digest::of(choices.pick(&[&b"a file outside"[..], b"another"])?);
        builder.add_input(Input {
            role: "wheel".into(),
            path: "/o/f".into(),
            found: None,
            url: None,
            digest,
            len: 14,
        });
    }
    let nothing = Observation {
        target: Expected::Absent,
        paths: std::collections::BTreeMap::new(),
    };
    let opened = Target::open(disk, Path::new(target), Parents::Require).ok();
    let seen = opened.and_then(|target| {
        observe(
            disk,
            target.place(),
            builder.operations(),
            builder.retired(),
        )
        .ok()
    });
    let mut seen = seen.unwrap_or(nothing);
    if choices.below(8) == 7 {
        seen.paths.pop_first();
    }
    let all = [
        Publication::Put,
        Publication::Replace,
        Publication::Merge,
        Publication::Refill,
        Publication::Nothing,
    ];
    builder.finish(seen, *choices.pick(&all)?).ok()
}

fn path(choices: &mut Choices<'_>) -> Option<RelPath> {
    match choices.pick(&PATHS) {
        Some(path) if choices.below(8) != 7 => RelPath::new(path).ok(),
        _ => RelPath::new(&choices.text()).ok(),
    }
}

fn node(choices: &mut Choices<'_>) -> Node {
    let modes = [Mode::SHARED_FILE, Mode::SHARED_DIR, Mode::ALL];
    let mode = choices.pick(&modes).copied().unwrap_or(Mode::ALL);
    let mtime = *choices
        .pick(&[None, Some(1_700_000_000), Some(i64::MIN), Some(i64::MAX)])
        .unwrap_or(&None);
    match choices.below(7) {
        0 | 1 => Node::Dir { mode },
        2 | 3 => Node::File {
            mode,
            mtime,
            content: Content::Inline(choices.bytes().to_vec()),
        },
        4 => {
            let digest = Digest::of(choices.pick(&[STORED, b"not stored"]).unwrap_or(&STORED));
            Node::File {
                mode,
                mtime,
                content: Content::Object {
                    digest,
                    len: STORED.len() as u64,
                },
            }
        }
        5 => {
            let path = choices
                .pick(&["/o/f", "/p/n/f", "/o", "relative"])
                .map_or_else(String::new, |path| (*path).to_owned());
            let digest = Digest::of(b"a file outside");
            Node::File {
                mode,
                mtime,
                content: Content::Local {
                    path,
                    digest,
                    len: 14,
                },
            }
        }
        _ => {
            let target = match choices.pick(&LINKS) {
                Some(target) if choices.below(4) != 3 => (*target).to_owned(),
                _ => choices.text(),
            };
            Node::Symlink { target }
        }
    }
}

/// Returns one content for every request, right or wrong.
struct Stored;

impl ContentSource for Stored {
    fn fetch(&self, _wanted: &Wanted) -> Result<Fetched, ContentError> {
        Ok(Fetched::Bytes(STORED.to_vec()))
    }
}

fn check(case: &Case, disk: &SimFs, plan: &Plan, choices: &mut Choices<'_>) -> bool {
    let before = objects(disk);
    let Ok(target) = Target::open(disk, Path::new(plan.target()), Parents::Make) else {
        assert_eq!(before, objects(disk), "refused, and changed");
        return false;
    };
    let bounds = Bounds::of(&target);
    let ended = apply(target, plan, choices);
    let after = objects(disk);
    let mut outside = after.clone();
    // Directories above an absent target are made for it.
    outside.retain(|path, _| {
        before.contains_key(path) || !bounds.target.starts_with(&format!("{path}/"))
    });
    bounds.check_outside(
        &above_in_a_layer(case, &bounds, &before),
        &above_in_a_layer(case, &bounds, &outside),
    );
    match ended {
        Ended::AsPlanned => check_published(disk, plan),
        Ended::AsBefore => {
            let (before, after) = (
                target_of(case, &bounds, &before),
                target_of(case, &bounds, &after),
            );
            assert_eq!(before, after, "the target is not as it was");
        }
        Ended::Open => panic!("nothing fails on this disk that has to be recovered from"),
    }
    ended == Ended::AsPlanned
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ended {
    AsPlanned,
    AsBefore,
    Open,
}

fn failed(aftermath: Aftermath) -> Ended {
    match aftermath {
        Aftermath::Unchanged => Ended::AsBefore,
        Aftermath::NeedsRecovery | Aftermath::InDoubt => Ended::Open,
    }
}

fn apply(target: Target<'_>, plan: &Plan, choices: &mut Choices<'_>) -> Ended {
    let terms = Terms {
        durability: if choices.below(2) == 0 {
            Durability::Power
        } else {
            Durability::Process
        },
        retention: if choices.below(2) == 0 {
            Retention::Discard
        } else {
            Retention::Keep
        },
        verdict: if choices.below(2) == 0 {
            Verdict::BySteps
        } else {
            Verdict::Awaited
        },
        grain: if choices.below(2) == 0 {
            Grain::Packages
        } else {
            Grain::Files
        },
    };
    let Ok((ready, _)) = target.lock("fuzz", &mut |_| Patience::GiveUp) else {
        return Ended::AsBefore;
    };
    let Ok(prepared) = ready.prepare(plan, terms, &Stored) else {
        return Ended::AsBefore;
    };
    let options = StageOptions {
        content: &Stored,
        link_mode: LinkMode::Auto,
        interrupted: &|| false,
    };
    let staged = match prepared.stage(&options) {
        Ok(staged) => staged,
        Err(error) => return failed(error.aftermath),
    };
    let published = match staged.publish(&|| false) {
        Ok(published) => published,
        Err(error) => return failed(error.aftermath),
    };
    if choices.below(4) == 3 {
        return published
            .undo()
            .map_or_else(|error| failed(error.aftermath), |_| Ended::AsBefore);
    }
    published.settle().map_or(Ended::Open, |_| Ended::AsPlanned)
}

/// I4: the same plan made again has nothing to do.
fn check_published(disk: &SimFs, plan: &Plan) {
    let target =
        Target::open(disk, Path::new(plan.target()), Parents::Require).expect("it was published");
    let seen = observe(disk, target.place(), plan.operations(), plan.retired())
        .expect("it can be looked at");
    let mut again =
        PlanBuilder::new(plan.target(), plan.root_mode()).expect("it is the target of a plan");
    for (path, operation) in plan.operations() {
        again
            .add(path.clone(), operation.clone())
            .expect("it is of a plan");
    }
    let by_entries = plan.publication().is_by_entries();
    let stood = |path: &RelPath| {
        matches!(
            plan.observation().paths.get(path),
            Some(Observed::Dir { .. })
        )
    };
    let is_dir = |path: &RelPath| matches!(seen.paths.get(path), Some(Observed::Dir { .. }));
    // A directory that stays in place keeps its mode: changing that would not be a rename.
    let effects = again
        .effects(&seen)
        .filter(|(path, _)| !(by_entries && stood(path) && is_dir(path)));
    for (path, effect) in effects {
        assert_eq!(
            effect,
            Effect::Keep,
            "{path} is not as planned: {:?}",
            seen.paths.get(path)
        );
    }
    for path in plan.retired() {
        let was_there = plan.observation().paths.contains_key(path);
        assert!(
            !was_there || !seen.paths.contains_key(path) || is_shared(plan, path),
            "{path} is still there"
        );
    }
}

/// Whether a directory that is to be removed may hold something that stays.
fn is_shared(plan: &Plan, path: &RelPath) -> bool {
    matches!(
        plan.observation().paths.get(path),
        Some(Observed::Dir { .. })
    )
}

/// Everything, except the identities of the directories above the target in a lower layer: they
/// become other objects as soon as anything is created in them.
fn above_in_a_layer(case: &Case, bounds: &Bounds, objects: &Objects) -> Objects {
    let mut objects = objects.clone();
    if case.ground == Ground::Lower {
        for (path, object) in &mut objects {
            if bounds.target.starts_with(&format!("{path}/")) {
                object.identity = NONE;
            }
        }
    }
    objects
}

/// The target without the engine's directory; what was in a lower layer may have become another
/// object.
fn target_of(case: &Case, bounds: &Bounds, objects: &Objects) -> Objects {
    let (own, below) = (bounds.target.clone(), format!("{}/", bounds.target));
    let engine = format!("{below}.rvenv");
    let mut objects = objects.clone();
    objects
        .retain(|path, _| (*path == own || path.starts_with(&below)) && !path.starts_with(&engine));
    if case.ground == Ground::Lower {
        for object in objects.values_mut() {
            object.identity = NONE;
        }
    }
    objects
}
