//! The figures as a picture: ratio against speed.

use super::figures::{Cost, Run};
use crate::quantity::ratio;
use std::fmt::Write;

const PANEL: (f64, f64) = (420.0, 360.0);
const LEFT: f64 = 56.0;
const TOP: f64 = 56.0;
const GAP: f64 = 80.0;
const BOTTOM: f64 = 52.0;
/// Half of the width of the last speed's label.
const RIGHT: f64 = 36.0;

const STYLE: &str = "text{font:12px sans-serif;fill:#333}.title{font-size:15px;font-weight:bold}\
.grid{stroke:#e4e4e4}.axis{stroke:#999;fill:none}.front{stroke:#bbb;stroke-dasharray:5 4;fill:none}\
.own{fill:#0b6e99}.ours{stroke:#0b6e99;stroke-width:1.5;fill:none}.peer{fill:#c2571a}.name{font-size:11px}\
circle{stroke:#fff;stroke-width:.8}.leader{stroke:#888;stroke-width:.7}";

/// The legend, from left to right: class, whether it is a line, text, and the distance to the next entry.
const LEGEND: [(&str, bool, &str, f64); 4] = [
    ("own", false, "nzip", 50.0),
    ("peer", false, "other programs", 110.0),
    ("ours", true, "levels of nzip", 126.0),
    ("front", true, "best there is: nothing is faster and smaller", 0.0),
];
const LEGEND_WIDTH: f64 = 560.0;

/// A point of a panel, in the units of its axes.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    name: String,
    own: bool,
    /// The raw bytes per second.
    speed: f64,
    ratio: f64,
}

/// Two panels, one for each direction. Speed is logarithmic; the dashed line connects the programs that no
/// other beats in both speed and ratio.
pub fn svg(title: &str, runs: &[Run]) -> String {
    let (width, height) = (LEFT + 2.0 * PANEL.0 + GAP + RIGHT, TOP + PANEL.1 + BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\">\
         <style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let _ = writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"24\">{}</text>", escape(title));
    legend(&mut out, width - RIGHT - LEGEND_WIDTH);
    let points = |cost: fn(&Run) -> Cost| runs.iter().map(|r| point(r, cost(r))).collect::<Vec<_>>();
    panel(&mut out, LEFT, "compression", &points(|r| r.encode));
    panel(&mut out, LEFT + PANEL.0 + GAP, "restoring", &points(|r| r.decode));
    out + "</svg>\n"
}

fn legend(out: &mut String, mut x: f64) {
    let y = 20.0;
    for (class, is_line, words, next) in LEGEND {
        let (end, text) = if is_line { (x + 24.0, x + 30.0) } else { (x, x + 9.0) };
        let _ = if is_line {
            writeln!(out, "<line class=\"{class}\" x1=\"{x}\" y1=\"{y}\" x2=\"{end}\" y2=\"{y}\"/>")
        } else {
            writeln!(out, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>")
        };
        let _ = writeln!(out, "<text class=\"legend\" x=\"{text}\" y=\"24\">{words}</text>");
        x += next;
    }
}

fn point(r: &Run, cost: Cost) -> Point {
    Point { name: r.tool.clone(), own: r.own, speed: r.speed(cost), ratio: ratio(r.raw, r.stored) }
}

/// The axes of a panel: the values at its edges.
struct Axes {
    left: f64,
    /// The decades of speed.
    x: (f64, f64),
    /// The ratios.
    y: (f64, f64),
}

impl Axes {
    fn new(left: f64, points: &[Point]) -> Self {
        let bounds = |values: Vec<f64>| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            (low, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
        };
        let (slow, fast) = bounds(points.iter().map(|p| p.speed.log10()).collect());
        let (low, high) = bounds(points.iter().map(|p| p.ratio).collect());
        let margin = ((high - low) * 0.08).max(0.02);
        // A third of a decade is left for the names of the fastest.
        Self { left, x: (slow.floor(), (fast + 0.3).ceil()), y: ((low - margin).max(0.0), high + margin) }
    }

    fn x(&self, speed: f64) -> f64 {
        self.left + PANEL.0 * (speed.log10() - self.x.0) / (self.x.1 - self.x.0)
    }

    fn y(&self, ratio: f64) -> f64 {
        TOP + PANEL.1 * (self.y.1 - ratio) / (self.y.1 - self.y.0)
    }

    /// The areas along the line through these points.
    fn along(&self, points: &[Point]) -> Vec<Area> {
        const STEPS: u32 = 24;
        let at = |p: &Point| (self.x(p.speed), self.y(p.ratio));
        let between = |pair: &[Point]| {
            let ((x, y), (u, v)) = (at(&pair[0]), at(&pair[1]));
            (0..=STEPS).map(f64::from).map(move |i| {
                let t = i / f64::from(STEPS);
                Area { x: x + (u - x) * t, y: y + (v - y) * t, width: 1.0, height: 1.0 }
            })
        };
        points.windows(2).flat_map(between).collect()
    }

    fn line(&self, class: &str, points: &[Point]) -> String {
        let at = |p: &Point| format!("{:.1},{:.1}", self.x(p.speed), self.y(p.ratio));
        let points: Vec<_> = points.iter().map(at).collect();
        format!("<polyline class=\"{class}\" points=\"{}\"/>\n", points.join(" "))
    }
}

fn panel(out: &mut String, left: f64, name: &str, points: &[Point]) {
    if points.is_empty() {
        return;
    }
    let axes = Axes::new(left, points);
    grid(out, &axes, name);
    let front = front(points);
    *out += &axes.line("front", &front);
    let is_level = |p: &&Point| p.own && p.name.trim_start_matches("nzip -").parse::<u8>().is_ok();
    let levels = points.iter().filter(is_level).cloned().collect::<Vec<_>>();
    *out += &axes.line("ours", &levels);
    let lines = [axes.along(&front), axes.along(&levels)].concat();
    let mut taken: Vec<Area> = points.iter().map(|p| Area::dot(axes.x(p.speed), axes.y(p.ratio))).collect();
    let class = |p: &Point| if p.own { "own" } else { "peer" };
    let mut names = String::new();
    for p in points {
        let (x, y, class) = (axes.x(p.speed), axes.y(p.ratio), class(p));
        let place = Area::name(x, y, &p.name, &taken, &lines);
        let (tx, ty, text) = (place.x, place.y + NAME_HEIGHT - 2.0, escape(&p.name));
        let _ = writeln!(names, "<text class=\"name {class}\" x=\"{tx:.1}\" y=\"{ty:.1}\">{text}</text>");
        // A line connects a distant name to its dot.
        let (ex, ey) = place.nearest(x, y);
        if (ex - x).hypot(ey - y) > 12.0 {
            let _ = writeln!(
                out,
                "<line class=\"leader\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{ex:.1}\" y2=\"{ey:.1}\"/>"
            );
        }
        taken.push(place);
    }
    for p in points {
        let (x, y, class) = (axes.x(p.speed), axes.y(p.ratio), class(p));
        let _ = writeln!(out, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
    }
    *out += &names;
}

/// The height of a name.
const NAME_HEIGHT: f64 = 11.0;

/// The width of a name, in about any font without serifs.
fn name_width(name: &str) -> f64 {
    let width = |letter| match letter {
        'm' | 'w' | 'M' | 'W' => 10.5,
        'i' | 'l' | ' ' | '.' | '-' => 4.0,
        _ => 6.8,
    };
    name.chars().map(width).sum()
}

/// The rectangle that a dot or a name covers.
#[derive(Debug, Clone, Copy)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Area {
    fn dot(x: f64, y: f64) -> Self {
        Self { x: x - 4.0, y: y - 4.0, width: 8.0, height: 8.0 }
    }

    /// The best place for the name of the dot at (x, y): it must not overlap anything in `taken`, should not
    /// lie on lines, and should be near.
    fn name(x: f64, y: f64, name: &str, taken: &[Area], lines: &[Area]) -> Self {
        let (width, height) = (name_width(name), NAME_HEIGHT);
        let middle = y - height / 2.0;
        let around = |away: f64| {
            let (right, left, centre) = (x + 7.0, x - 7.0 - width, x - width / 2.0);
            let ways =
                [(right, -1.0), (right, 1.0), (left, -1.0), (left, 1.0), (centre, -1.0), (centre, 1.0)];
            ways.map(|(x, way)| (Self { x, y: middle + way * away, width, height }, away))
        };
        let places = (0..16).flat_map(|i| around(4.0 * f64::from(i)));
        let cost = |(place, away): &(Self, f64)| {
            let meets = |all: &[Area]| all.iter().filter(|t| place.meets(t)).count() as f64;
            let outside = if place.y < TOP || place.y + height > TOP + PANEL.1 { 1000.0 } else { 0.0 };
            1000.0 * meets(taken) + 6.0 * meets(lines) + outside + away
        };
        let best = places.min_by(|a, b| cost(a).total_cmp(&cost(b)));
        best.map_or(Self { x: x + 7.0, y: middle, width, height }, |(place, _)| place)
    }

    /// The point of the area that is nearest to (x, y).
    fn nearest(&self, x: f64, y: f64) -> (f64, f64) {
        (x.clamp(self.x, self.x + self.width), y.clamp(self.y, self.y + self.height))
    }

    fn meets(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}

fn grid(out: &mut String, axes: &Axes, name: &str) {
    let (left, bottom) = (axes.left, TOP + PANEL.1);
    for decade in axes.x.0 as i32..=axes.x.1 as i32 {
        let x = axes.x(10f64.powi(decade));
        let _ =
            writeln!(out, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>");
        let (y, text) = (bottom + 17.0, speed_name(decade));
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}</text>");
    }
    let step = nice_step((axes.y.1 - axes.y.0) / 6.0);
    let digits = usize::from(step < 1.0) + usize::from(step < 0.1);
    for i in (axes.y.0 / step).ceil() as i64..=(axes.y.1 / step).floor() as i64 {
        let (ratio, right) = (i as f64 * step, left + PANEL.0);
        let y = axes.y(ratio);
        let _ =
            writeln!(out, "<line class=\"grid\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>");
        let (x, at) = (left - 6.0, y + 4.0);
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{at:.1}\" text-anchor=\"end\">{ratio:.digits$}</text>");
    }
    let (w, h) = PANEL;
    let _ = writeln!(out, "<rect class=\"axis\" x=\"{left}\" y=\"{TOP}\" width=\"{w}\" height=\"{h}\"/>");
    let (x, y, above) = (left + w / 2.0, bottom + 38.0, TOP - 8.0);
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{name} speed</text>");
    let _ = writeln!(out, "<text x=\"{left}\" y=\"{above}\">ratio</text>");
}

/// The points that no other beats in both speed and ratio, from slow to fast.
fn front(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| b.speed.total_cmp(&a.speed).then(b.ratio.total_cmp(&a.ratio)));
    let mut front: Vec<Point> = Vec::new();
    for p in sorted {
        if front.last().is_none_or(|best| p.ratio > best.ratio) {
            front.push(p);
        }
    }
    front.reverse();
    front
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|n| n * power).find(|n| *n >= step).unwrap_or(10.0 * power)
}

fn speed_name(decade: i32) -> String {
    let unit = ["B/s", "KB/s", "MB/s", "GB/s"].get(decade as usize / 3).copied().unwrap_or("B/s");
    format!("{} {unit}", 10u32.pow(decade as u32 % 3))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, speed: f64, ratio: f64) -> Point {
        Point { name: name.into(), own: false, speed, ratio }
    }

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let points = [
            point("beaten", 10.0, 2.0),
            point("fast", 1000.0, 2.0),
            point("small", 1.0, 5.0),
            point("middle", 50.0, 3.0),
            point("twin", 50.0, 2.5),
        ];
        let names: Vec<_> = front(&points).into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["small", "middle", "fast"]);
    }

    #[test]
    fn names_do_not_lie_on_each_other() {
        let mut taken = vec![Area::dot(50.0, 150.0), Area::dot(52.0, 150.0)];
        for _ in 0..8 {
            let place = Area::name(50.0, 150.0, "zstd -19", &taken, &[]);
            assert!(taken.iter().all(|t| !place.meets(t)));
            taken.push(place);
        }
    }

    #[test]
    fn names_keep_off_lines_and_the_legend_names_them() {
        let line: Vec<Area> =
            (0..100).map(|i| Area { x: f64::from(i), y: 150.0, width: 1.0, height: 1.0 }).collect();
        let place = Area::name(50.0, 150.0, "xz", &[Area::dot(50.0, 150.0)], &line);
        assert!(line.iter().all(|l| !place.meets(l)));
        let mut text = String::new();
        legend(&mut text, 0.0);
        assert!(text.contains("class=\"front\"") && text.contains("nothing is faster and smaller"));
    }

    #[test]
    fn steps_and_names_are_round() {
        assert_eq!(nice_step(0.3), 0.5);
        assert_eq!(nice_step(2.0), 2.0);
        assert_eq!(nice_step(7.0), 10.0);
        assert_eq!(speed_name(5), "100 KB/s");
        assert_eq!(speed_name(6), "1 MB/s");
    }
}
