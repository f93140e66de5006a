//! The command blocks of a page.
//!
//! A `console` block has commands after `$ ` and, below each, what it prints. A `sh` block has
//! commands only. A comment `<!-- not run: REASON -->` above a block exempts it.

/// A command, or all commands of a `sh` block.
pub(super) struct Command {
    /// The line of the page, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
    /// What it prints; `None` if the page does not say.
    pub(super) output: Option<Vec<String>>,
}

/// What the command blocks of a page have.
#[derive(Default)]
pub(super) struct Page {
    pub(super) commands: Vec<Command>,
    /// Blocks that are not run, and why.
    pub(super) exempt: Vec<String>,
}

pub(super) fn read(text: &str) -> Page {
    let mut page = Page::default();
    let mut reason = None;
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let kind = line.strip_prefix("```");
        if let Some(kind) = kind {
            let block = lines.by_ref().take_while(|(_, line)| *line != "```");
            let block: Vec<(usize, &str)> = block.map(|(at, line)| (at + 1, line)).collect();
            match (kind, reason.take()) {
                ("sh" | "console", Some(reason)) => page.exempt.push(reason),
                ("console", None) => page.commands.extend(console(&block)),
                ("sh", None) => page.commands.extend(script(number + 2, &block)),
                _ => {}
            }
        } else if let Some(why) = line.strip_prefix("<!-- not run: ") {
            reason = why.strip_suffix(" -->").map(str::to_owned);
            assert!(reason.is_some(), "line {}: `{line}`", number + 1);
        }
    }
    assert_eq!(reason, None, "no block follows");
    page
}

/// The lines of a picture of a terminal as a page with one block.
///
/// Digests and counts are those of another machine.
pub(super) fn of_picture(svg: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for element in svg.lines().filter(|line| line.starts_with("<text ")) {
        let (head, rest) = element.split_once('>').expect("an element has an end");
        let text = rest.split('<').map(|part| match part.split_once('>') {
            Some((_tag, text)) => text,
            None => part,
        });
        let text = text.collect::<String>();
        let text = text
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        match lines.last_mut() {
            Some(last) if head.contains("class=\"more\"") => last.push_str(&text),
            _ => lines.push(text),
        }
    }
    let lines = lines.iter().map(|line| {
        let is_command = line.starts_with("$ ");
        if is_command {
            line.clone()
        } else {
            without_numbers(line)
        }
    });
    format!(
        "```console\n{}\n```\n",
        lines.collect::<Vec<_>>().join("\n")
    )
}

/// The line with `…` for digests and for numbers of three digits and more.
fn without_numbers(line: &str) -> String {
    let is_number = |word: &str| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        digits > 2 && word.chars().all(|c| c.is_ascii_hexdigit())
    };
    let words = line.split(' ');
    let words = words.map(|word| if is_number(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// One command for the whole block.
fn script(line: usize, block: &[(usize, &str)]) -> Option<Command> {
    let lines: Vec<&str> = block.iter().map(|(_, line)| *line).collect();
    let text = format!("set -e\n{}\nset +e", lines.join("\n"));
    (!lines.is_empty()).then_some(Command {
        line,
        text,
        output: None,
    })
}

/// The commands of a block, each with the lines below it.
fn console(block: &[(usize, &str)]) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut goes_on = false;
    for (number, line) in block {
        if let Some(text) = line.strip_prefix("$ ") {
            commands.push(Command {
                line: *number,
                text: text.to_owned(),
                output: Some(Vec::new()),
            });
            goes_on = line.ends_with('\\');
            continue;
        }
        let last = commands.last_mut();
        let last = last.expect("a console block begins with `$ `");
        if goes_on {
            last.text
                .extend(["\n", line.strip_prefix("> ").unwrap_or(line)]);
            goes_on = line.ends_with('\\');
        } else if let Some(output) = &mut last.output {
            output.push((*line).to_owned());
        }
    }
    for command in &mut commands {
        let output = command.output.as_mut().into_iter();
        output.for_each(|lines| {
            while lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
        });
    }
    commands
}

/// Whether lines are those of a page: `…` is any text in a line, and alone any lines.
pub(super) fn is_as_written(written: &[String], printed: &[&str]) -> bool {
    let Some((first, rest)) = written.split_first() else {
        return printed.is_empty();
    };
    if first.trim() == "…" {
        return (0..=printed.len()).any(|skipped| is_as_written(rest, &printed[skipped..]));
    }
    let next = printed.split_first();
    next.is_some_and(|(line, later)| is_line_as_written(first, line) && is_as_written(rest, later))
}

fn is_line_as_written(written: &str, printed: &str) -> bool {
    let Some((start, rest)) = written.split_once('…') else {
        return written.trim_end() == printed.trim_end();
    };
    let Some(printed) = printed.strip_prefix(start) else {
        return false;
    };
    let ends = printed.char_indices().map(|(at, _)| at);
    ends.chain([printed.len()])
        .any(|at| is_line_as_written(rest, &printed[at..]))
}
