//! Plots as SVG, drawn by hand so that nothing has to be installed for them.
//!
//! Both axes of time are logarithmic, because the compared values span four orders of magnitude;
//! the axes say so. Colours are readable on light and dark pages.

use std::fmt::Write as _;

use super::report::millis;
use super::timing::Spread;

const WIDTH: f64 = 860.0;
const INK: &str = "#6e7781";
const OURS: &str = "#1f883d";
const THEIRS: &str = "#8250df";
const FLOOR: &str = "#bf8700";
/// The start of the time axis, beside the names.
const LEFT: f64 = 330.0;
const RIGHT: f64 = 90.0;

/// Whose time a dot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Theirs,
    Floor,
}

/// One row of dots.
#[derive(Clone, Debug)]
pub(crate) struct Dot {
    pub(crate) name: String,
    pub(crate) side: Side,
    pub(crate) spread: Spread,
}

/// Times against a number of files.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Medians as dots, from quartile to quartile as lines, on a logarithmic axis.
pub(crate) fn dot_plot(title: &str, dots: &[Dot]) -> String {
    let row = 26.0;
    let top = 54.0;
    let rows = f64::from(u32::try_from(dots.len()).unwrap_or(0));
    let height = top + rows * row + 40.0;
    let scale = Scale::over(
        dots.iter()
            .flat_map(|dot| [dot.spread.low, dot.spread.high]),
        (LEFT, WIDTH - RIGHT),
    );
    let mut svg = begin(height, title);
    for decade in scale.decades() {
        let x = scale.at(decade);
        line(&mut svg, (x, top - 10.0), (x, height - 34.0), (INK, 0.3));
        text(&mut svg, (x, height - 18.0), "middle", &millis(decade));
    }
    text(
        &mut svg,
        (WIDTH - RIGHT, height - 3.0),
        "end",
        "time, logarithmic",
    );
    let mut y = top;
    for dot in dots {
        let colour = match dot.side {
            Side::Ours => OURS,
            Side::Theirs => THEIRS,
            Side::Floor => FLOOR,
        };
        let Spread {
            low, median, high, ..
        } = dot.spread;
        y += row / 2.0;
        text(&mut svg, (LEFT - 16.0, y + 4.0), "end", &dot.name);
        line(
            &mut svg,
            (scale.at(low), y),
            (scale.at(high), y),
            (colour, 3.0),
        );
        let x = scale.at(median);
        let _infallible = writeln!(
            svg,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="5" fill="{colour}"/>"#
        );
        text(
            &mut svg,
            (scale.at(high).max(x) + 12.0, y + 4.0),
            "start",
            &millis(median),
        );
        y += row / 2.0;
    }
    svg.push_str("</svg>\n");
    svg
}

/// Curves of times over numbers of files, both axes logarithmic.
pub(crate) fn growth_plot(curves: &[Curve]) -> String {
    let (height, top, left) = (360.0, 54.0, 90.0);
    let right = WIDTH - 250.0;
    let all = || curves.iter().flat_map(|curve| curve.points.iter());
    let across = Scale::over(all().map(|(files, _)| *files), (left, right));
    let up = Scale::over(all().map(|(_, took)| *took), (height - 50.0, top));
    let mut svg = begin(height, "Time against the number of files, both logarithmic");
    for decade in across.decades() {
        let x = across.at(decade);
        line(&mut svg, (x, top), (x, height - 50.0), (INK, 0.3));
        text(
            &mut svg,
            (x, height - 32.0),
            "middle",
            &format!("{decade:.0}"),
        );
    }
    for decade in up.decades() {
        let y = up.at(decade);
        line(&mut svg, (left, y), (right, y), (INK, 0.3));
        text(&mut svg, (left - 8.0, y + 4.0), "end", &millis(decade));
    }
    text(&mut svg, (right, height - 12.0), "end", "files");
    for (curve, colour) in curves.iter().zip([OURS, THEIRS, FLOOR].iter().cycle()) {
        let points = curve.points.iter();
        let at: Vec<_> = points
            .map(|(files, took)| (across.at(*files), up.at(*took)))
            .collect();
        for (from, to) in at.iter().zip(at.iter().skip(1)) {
            line(&mut svg, *from, *to, (colour, 2.5));
        }
        if let Some((x, y)) = at.last() {
            text(&mut svg, (x + 10.0, y + 4.0), "start", &curve.name);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A logarithmic axis, from one place of the picture to another.
struct Scale {
    from: f64,
    to: f64,
    places: (f64, f64),
}

impl Scale {
    /// Whole decades around all values.
    fn over(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (least, most) = logs.fold((f64::MAX, f64::MIN), |(least, most), log| {
            (least.min(log), most.max(log))
        });
        let (from, to) = if least > most {
            (-3.0, 0.0)
        } else {
            ((least + 1e-9).floor(), (most - 1e-9).ceil())
        };
        Self {
            from,
            to: to.max(from + 1.0),
            places,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.max(1e-9).log10() - self.from) / (self.to - self.from);
        self.places.0 + (self.places.1 - self.places.0) * part
    }

    fn decades(&self) -> Vec<f64> {
        let mut found = Vec::new();
        let mut log = self.from;
        while log <= self.to + 1e-9 {
            found.push(10_f64.powf(log));
            log += 1.0;
        }
        found
    }
}

fn begin(height: f64, title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" role=\"img\">\n<title>{title}</title>\n",
    );
    let _infallible = writeln!(
        svg,
        r#"<text x="{}" y="24" text-anchor="middle" font-size="15" font-weight="600" fill="{INK}">{title}</text>"#,
        WIDTH / 2.0
    );
    svg
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), (colour, width): (&str, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _infallible = writeln!(
        svg,
        r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let _infallible = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{INK}">{words}</text>"#
    );
}
