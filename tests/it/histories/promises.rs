//! What must hold after each command of a history.
//!
//! - A command that ends with 0 leaves each distribution that worked working in the same version,
//!   or names it; it leaves no mixture; and no distribution and no edit vanishes unnamed.
//! - A command that refuses leaves every byte as it was, and so does one that only reads.
//! - `verify` ends with 0 if everything imports and no file was changed, and otherwise with 4.
//! - A plan is refused after another installer was at work, and names the distribution.
//! - A rollback that is rolled back gives every byte again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::acts::{Act, Change, Command, History, Options, Spot, Work};
use super::changes::Asked;
use super::place::{Found, Look, Place, Shot, Stock, difference};
use crate::machine::Ended;

/// A saved plan, and the distributions that it saw.
struct Saved {
    env: String,
    /// The options, unless it changes packages only.
    options: Option<Options>,
    text: String,
    saw: Vec<Found>,
}

/// How often which command ended with which code.
pub(super) type Ends = BTreeMap<(String, Option<i32>), usize>;

/// A history in progress.
struct Course<'a> {
    place: Place<'a>,
    saved: Option<Saved>,
    /// The digests of the RECORDs of pip that rvenv wrote: that pip may change with the Python.
    seeds: BTreeSet<String>,
    /// Whether the activation script was changed after the last command of rvenv that changes one.
    is_frame_changed: bool,
    story: Vec<String>,
    ends: Ends,
    /// What was found last, while nothing was done since.
    last: Option<State>,
}

/// What a command may do.
#[derive(Clone, Copy)]
struct Excuse {
    /// It deletes what exists.
    clears: bool,
    /// It brings back what was there, edited or not.
    is_rollback: bool,
}

/// What exists at one moment.
#[derive(Clone)]
struct State {
    shot: Shot,
    look: Look,
}

/// Runs a history; the error says which promise was broken, and what was done before.
pub(super) fn run(stock: &Stock, history: &History) -> Result<Ends, String> {
    let place = Place::new(stock);
    place.begin(history.begin, &history.first);
    let seeds = place.look().here.into_iter().filter(is_seed);
    let mut course = Course {
        seeds: seeds.map(|found| found.record).collect(),
        place,
        saved: None,
        is_frame_changed: false,
        ends: Ends::new(),
        last: None,
        story: vec![format!("{:?} {:?}", history.begin, history.first)],
    };
    for act in &history.acts {
        course.story.push(format!("{act:?}"));
        let kept = match act {
            Act::Work(work) => {
                course.is_frame_changed |= matches!(
                    work,
                    Work::Edit(Spot::Activate) | Work::Delete(Spot::Activate)
                );
                course.place.work(*work);
                course.last = None;
                continue;
            }
            Act::Rvenv(command) => course.command(*command),
        };
        kept.map_err(|broken| format!("{broken}\n{}", course.story.join("\n")))?;
    }
    Ok(course.ends)
}

/// Whether a distribution is named with its version.
fn is_named(said: &str, title: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric());
    said.match_indices(title).any(|(at, _)| {
        let rest = said.split_at(at + title.len()).1;
        ends(rest) && rest.strip_prefix('.').is_none_or(ends)
    })
}

/// The edits of users that exist anywhere, also in what rvenv kept.
fn edits(shot: &Shot) -> BTreeSet<String> {
    let texts = shot
        .values()
        .filter_map(|thing| std::str::from_utf8(&thing.content).ok());
    let edited = texts.filter(|text| text.contains("# edit "));
    edited
        .flat_map(str::lines)
        .filter(|line| line.starts_with("# edit "))
        .map(str::to_owned)
        .collect()
}

impl Course<'_> {
    fn state(&mut self) -> State {
        let state = State {
            shot: self.place.shot(),
            look: self.place.look(),
        };
        self.last = Some(state.clone());
        state
    }

    /// Runs a command, and checks what it promises; whether it ended with 0.
    fn command(&mut self, command: Command) -> Result<bool, String> {
        let before = match self.last.take() {
            Some(last) => last,
            None => self.state(),
        };
        let env = self.place.env().display().to_string();
        let short = |verb: &str| vec![verb.to_owned(), env.clone()];
        let process = ["--durability", "process"].map(str::to_owned);
        let words = match command {
            Command::Create(options) => self.place.words("create", options),
            Command::Upgrade(options) => self.place.words("upgrade", options),
            Command::Plan(options) => return self.plan(options, &before),
            Command::Change(change) => return self.change(change, &before),
            Command::PlanChange(change) => return self.plan_change(change, &before),
            Command::Apply(options) => return self.apply(options, &before),
            Command::Verify => return self.verify(&before),
            Command::BackAndForth => return self.back_and_forth(&before),
            Command::Repair => self.place.repair(),
            Command::Rollback => short("rollback"),
            Command::Status => short("status"),
            Command::Recover => short("recover"),
        };
        let is_run = !matches!(command, Command::Status | Command::Recover);
        let words = [&words[..], if is_run { &process } else { &[] }].concat();
        let ended = self.say(&words);
        if matches!(command, Command::Status) {
            unchanged(&before.shot, &self.place.shot())?;
            return Ok(ended.code == Some(0));
        }
        let after = self.state();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        if !self.ended(&ended, &before, &after)? {
            return Ok(false);
        }
        let clears = matches!(command, Command::Create(options) if options.clear && !options.keep);
        let is_rollback = command == Command::Rollback;
        self.kept(
            (&before, &after),
            &said,
            Excuse {
                clears,
                is_rollback,
            },
        )?;
        match command {
            Command::Repair => mended(&after.look, &said)?,
            Command::Create(options) | Command::Upgrade(options) => {
                self.is_of(options, &after.look)?;
            }
            Command::Rollback
            | Command::Recover
            | Command::Status
            | Command::Verify
            | Command::BackAndForth
            | Command::Change(_)
            | Command::Plan(_)
            | Command::PlanChange(_)
            | Command::Apply(_) => {}
        }
        Ok(true)
    }

    /// Runs the command, and remembers what it said.
    fn say(&mut self, words: &[String]) -> Ended {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = self.place.rvenv(&words);
        *self
            .ends
            .entry((words[0].to_owned(), ended.code))
            .or_default() += 1;
        self.story.push(format!("  rvenv {}", words.join(" ")));
        for line in ended.stdout.lines().chain(ended.stderr.lines()) {
            self.story.push(format!("    {line}"));
        }
        self.story.push(format!("    exit code {:?}", ended.code));
        ended
    }

    /// Whether a command that changes ended with 0; everything is as before if it did not.
    fn ended(&mut self, ended: &Ended, before: &State, after: &State) -> Result<bool, String> {
        match ended.code {
            Some(0) => {
                self.is_frame_changed = false;
                let was = |found: &Found| before.look.here.contains(found);
                let new = after.look.here.iter().filter(|found| !was(found));
                let pips = new.filter(|found| is_seed(found));
                self.seeds.extend(pips.map(|found| found.record.clone()));
                Ok(true)
            }
            Some(1 | 2 | 3 | 5) => unchanged(&before.shot, &after.shot).map(|()| false),
            _ => Err(format!("it ended with {:?}", ended.code)),
        }
    }

    /// After an exit code of 0: nothing broke or vanished unnamed.
    fn kept(
        &self,
        (before, after): (&State, &State),
        said: &str,
        excuse: Excuse,
    ) -> Result<(), String> {
        let env = self.place.env();
        if before.look.prefix.is_some() && after.look.prefix != Some(env) {
            return Err(format!(
                "Python was at {:?}, and is at {:?}",
                before.look.prefix, after.look.prefix
            ));
        }
        for was in &before.look.here {
            let title = was.title();
            let is_excused = is_named(said, &title) || self.seeds.contains(&was.record);
            let is_of = |found: &&Found| found.name == was.name;
            let now: Vec<&Found> = after.look.here.iter().filter(is_of).collect();
            match now[..] {
                [] if is_excused => {}
                [] => return Err(format!("{title} vanished, or is lost, unnamed")),
                [now] if now.version != was.version && !is_excused => {
                    return Err(format!("{title} became {} unnamed", now.title()));
                }
                [now] if was.is_good() && !now.is_good() && !excuse.is_rollback => {
                    return Err(format!("{title} was good, and became {now:?}"));
                }
                [now]
                    if now.title() == was.title() && !excuse.is_rollback && {
                        now.differs.iter().any(|path| !was.differs.contains(path))
                    } =>
                {
                    return Err(format!(
                        "files of {title} vanished or changed: {was:?}, {now:?}"
                    ));
                }
                [now] if was.fails.is_none() && now.fails.is_some() && !excuse.is_rollback => {
                    return Err(format!("{title} imported, and became {now:?}"));
                }
                [now] if was.dead.is_empty() && !now.dead.is_empty() && !excuse.is_rollback => {
                    return Err(format!("scripts of {title} started, and became {now:?}"));
                }
                [_] => {}
                [..] => return Err(format!("{title} is there twice: {now:?}")),
            }
        }
        let titles = after.look.titles();
        let gone = before
            .look
            .lost
            .iter()
            .map(|(name, version)| format!("{name} {version}"));
        let mut gone = gone.filter(|title| !titles.contains(title) && !is_named(said, title));
        if let Some(title) = gone.next() {
            return Err(format!("{title}, which was lost, vanished unnamed"));
        }
        let kept = edits(&after.shot);
        match edits(&before.shot).difference(&kept).next() {
            Some(edit) if !excuse.clears => Err(format!("`{edit}` vanished")),
            _ => Ok(()),
        }
    }

    fn is_of(&self, options: Options, look: &Look) -> Result<(), String> {
        let wanted = self.place.name_of_library(options);
        if self.place.library().as_ref() == Some(&wanted) && look.prefix.is_some() {
            return Ok(());
        }
        Err(format!("it is not an environment of {wanted}"))
    }

    /// `verify`: 0 exactly if everything is well.
    fn verify(&mut self, before: &State) -> Result<bool, String> {
        let env = self.place.env();
        let ended = self.say(&["verify".to_owned(), env.display().to_string()]);
        unchanged(&before.shot, &self.place.shot())?;
        let look = &before.look;
        let bad = look
            .here
            .iter()
            .find(|found| !found.is_good() || !found.dead.is_empty());
        let short = Path::new(self.place.name).join("bin/activate");
        let script = before
            .shot
            .get(&short)
            .map(|thing| String::from_utf8_lossy(&thing.content));
        let is_moved = script
            .as_ref()
            .is_some_and(|text| !text.contains(env.to_str().unwrap()));
        let is_edited = script.is_none_or(|text| text.contains("# edit "));
        let receipt = Path::new(self.place.name).join(".rvenv/receipt.json");
        let is_published = before.shot.contains_key(&receipt);
        let why = if look.prefix != Some(env) {
            Some("Python does not start".to_owned())
        } else if let Some(found) = bad {
            Some(format!("{found:?}"))
        } else if !look.lost.is_empty() {
            Some(format!("{:?} are lost", look.lost))
        } else if is_moved {
            Some("it was moved".to_owned())
        } else if is_edited && is_published && self.is_frame_changed {
            Some("bin/activate was changed".to_owned())
        } else {
            None
        };
        match (ended.code, why) {
            (Some(0), None) => Ok(true),
            (Some(4), Some(_)) => Ok(false),
            // Whether an edit before the last command is part of what was published.
            (Some(4), None) if is_edited => Ok(false),
            (Some(0), Some(why)) => Err(format!("nothing differs, but {why}")),
            (code, why) => Err(format!("it ended with {code:?}, and {why:?}")),
        }
    }

    /// A rollback, and one more: nothing was lost.
    fn back_and_forth(&mut self, before: &State) -> Result<bool, String> {
        for _ in 0..2 {
            let before = self.state();
            let env = self.place.env().display().to_string();
            let ended = self.say(&["rollback".to_owned(), env]);
            let after = self.state();
            if !self.ended(&ended, &before, &after)? {
                return Ok(false);
            }
            let said = format!("{}{}", ended.stdout, ended.stderr);
            let excuse = Excuse {
                clears: false,
                is_rollback: true,
            };
            self.kept((&before, &after), &said, excuse)?;
        }
        // What a rollback keeps has another number afterwards.
        let name = self.place.name;
        let own = |shot: &Shot| -> Shot {
            let all = shot.iter().filter(|(path, _)| {
                let inside = path.strip_prefix(name).ok();
                inside.is_some_and(|path| {
                    !path.starts_with(".rvenv") || path.ends_with("receipt.json")
                })
            });
            all.map(|(path, thing)| (path.clone(), thing.clone()))
                .collect()
        };
        match difference(&own(&before.shot), &own(&self.place.shot())) {
            None => Ok(true),
            Some(text) => Err(format!("back and forth again: {text}")),
        }
    }

    /// `install`, `uninstall` or `sync`.
    fn change(&mut self, change: Change, before: &State) -> Result<bool, String> {
        let Some(asked) = Asked::of(change, &self.place) else {
            return Ok(false);
        };
        let mut words = asked.words(&self.place);
        words.extend(["--durability", "process"].map(str::to_owned));
        let ended = self.say(&words);
        let after = self.state();
        if !self.ended(&ended, before, &after)? {
            return Ok(false);
        }
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let excuse = Excuse {
            clears: false,
            is_rollback: false,
        };
        self.kept((before, &after), &said, excuse)?;
        asked.done(&before.look, &after.look)?;
        self.verify(&after)?;
        Ok(true)
    }

    fn plan_change(&mut self, change: Change, before: &State) -> Result<bool, String> {
        let Some(asked) = Asked::of(change, &self.place) else {
            return Ok(false);
        };
        let mut words = asked.words(&self.place);
        words.push("--dry-run".to_owned());
        self.save(words, None, before)
    }

    fn plan(&mut self, options: Options, before: &State) -> Result<bool, String> {
        let words = self.place.words("plan", options);
        self.save(words, Some(options), before)
    }

    fn save(
        &mut self,
        mut words: Vec<String>,
        options: Option<Options>,
        before: &State,
    ) -> Result<bool, String> {
        let file = self.place.plan_file();
        words.extend(["--out".to_owned(), file.display().to_string()]);
        let ended = self.say(&words);
        unchanged(&before.shot, &self.place.shot())?;
        if ended.code != Some(0) {
            return Ok(false);
        }
        self.saved = Some(Saved {
            env: self.place.env().display().to_string(),
            options,
            text: ended.stdout + &ended.stderr,
            saw: before.look.here.clone(),
        });
        Ok(true)
    }

    /// A plan is applied only to the distributions that it saw.
    fn apply(&mut self, options: Options, before: &State) -> Result<bool, String> {
        let Some(saved) = self.saved.take() else {
            return Ok(false);
        };
        let file = self.place.plan_file().display().to_string();
        let mut words = ["apply", &file, "--durability", "process"]
            .map(str::to_owned)
            .to_vec();
        let flags = [
            (options.keep, "--keep"),
            (options.allow_lost, "--allow-lost"),
        ];
        words.extend(
            flags
                .iter()
                .filter(|flag| flag.0)
                .map(|flag| flag.1.to_owned()),
        );
        let ended = self.say(&words);
        let after = self.state();
        let is_done = self.ended(&ended, before, &after)?;
        if saved.env != self.place.env().display().to_string() {
            // A plan for another name creates an environment there, or is stale.
            return Ok(is_done);
        }
        let id = |found: &Found| (found.title(), found.record.clone());
        let [then, now] = [&saved.saw, &before.look.here]
            .map(|found| found.iter().map(id).collect::<BTreeSet<_>>());
        let mut other = then.symmetric_difference(&now).map(|(title, _)| title);
        let said = saved.text + &ended.stdout + &ended.stderr;
        match (is_done, other.next()) {
            (true, Some(title)) => {
                return Err(format!("it was applied, though {title} is new or gone"));
            }
            (true, None) => {
                let clears = saved.options.is_some_and(|saved| saved.clear) && !options.keep;
                let excuse = Excuse {
                    clears,
                    is_rollback: false,
                };
                self.kept((before, &after), &said, excuse)?;
                if let Some(saved) = saved.options {
                    self.is_of(saved, &after.look)?;
                }
            }
            (false, Some(title)) if ended.code == Some(3) => {
                let names = |title: &str| ended.stderr.contains(title.split(' ').next().unwrap());
                if !names(title) && !ended.stderr.contains("RECORD") {
                    return Err(format!("it was refused, and {title} is not named"));
                }
            }
            (false, _) => {}
        }
        Ok(is_done)
    }
}

/// Whether rvenv may have installed it.
fn is_seed(found: &Found) -> bool {
    matches!(&*found.name, "pip" | "setuptools")
}

/// After a repair that ended with 0: nothing is damaged, or the distribution is named.
fn mended(look: &Look, said: &str) -> Result<(), String> {
    let is_fine = |found: &&Found| {
        (found.is_good() && found.dead.is_empty()) || is_named(said, &found.title())
    };
    match look.here.iter().find(|found| !is_fine(found)) {
        Some(found) => Err(format!("still damaged, and not named: {found:?}")),
        None => Ok(()),
    }
}

fn unchanged(before: &Shot, after: &Shot) -> Result<(), String> {
    difference(before, after).map_or(Ok(()), Err)
}
