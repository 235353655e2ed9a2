//! A chart as inline SVG: lines over an axis, with words for whoever points at them.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;

const TICKS: f64 = 4.0;

pub struct Chart {
    pub title: &'static str,
    pub note: &'static str,
    pub series: Vec<Series>,
    /// What each place of the first series is in words; an empty one is not shown.
    pub words: Vec<String>,
    pub x: Axis,
    pub y_unit: &'static str,
}

pub struct Series {
    pub name: &'static str,
    pub colour: Colour,
    pub is_area: bool,
    pub points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy)]
pub enum Colour {
    First,
    Second,
    Bad,
}

impl Colour {
    fn class(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Bad => "bad",
        }
    }
}

/// From 0 to its end.
pub struct Axis {
    pub end: f64,
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Of time.
    pub fn seconds(end: f64) -> Self {
        let end = end.max(0.001);
        let step = nice_step(end);
        let ticks = steps(step, end)
            .map(|at| (at, format!("{} s", number(at))))
            .collect();
        Self { end, ticks }
    }
}

/// 1, 2 or 5 times a power of ten, so that there are some four steps to `end`.
fn nice_step(end: f64) -> f64 {
    let raw = end / TICKS;
    let power = 10f64.powf(raw.log10().floor());
    let factor = match raw / power {
        lead if lead <= 1.0 => 1.0,
        lead if lead <= 2.0 => 2.0,
        lead if lead <= 5.0 => 5.0,
        _ => 10.0,
    };
    factor * power
}

fn steps(step: f64, end: f64) -> impl Iterator<Item = f64> {
    (0..=20)
        .map(move |count| f64::from(count) * step)
        .take_while(move |at| *at <= end * (1.0 + 1e-9))
}

/// As short as it can be said: 1.5k, 20, 0.25.
fn number(value: f64) -> String {
    let (value, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e3 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

impl Chart {
    /// A figure with its title, its legend and its drawing.
    pub fn svg(&self) -> String {
        let mut svg = String::with_capacity(1 << 14);
        let _ = write!(
            svg,
            "<figure>\n<figcaption><h2>{}</h2><p>{}</p>",
            self.title, self.note
        );
        if self.series.len() > 1 {
            svg.push_str("<p class=\"legend\">");
            for series in &self.series {
                let _ = write!(
                    svg,
                    "<span class=\"{}\">{}</span>",
                    series.colour.class(),
                    series.name
                );
            }
            svg.push_str("</p>");
        }
        let _ = writeln!(
            svg,
            "</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}: {}\">",
            self.title, self.note
        );
        let top = self.top();
        self.draw_axes(&mut svg, top);
        for series in &self.series {
            self.draw(&mut svg, series, top);
        }
        self.draw_words(&mut svg, top);
        svg.push_str("</svg>\n</figure>\n");
        svg
    }

    /// The y axis ends at the first step that nothing is above.
    fn top(&self) -> f64 {
        let highest = self
            .series
            .iter()
            .flat_map(|series| &series.points)
            .map(|(_, y)| *y)
            .fold(0.0, f64::max);
        if highest <= 0.0 {
            return 1.0;
        }
        let step = nice_step(highest);
        (highest / step).ceil() * step
    }

    fn x(&self, x: f64) -> f64 {
        LEFT + (x / self.x.end).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y(y: f64, top: f64) -> f64 {
        TOP + (1.0 - (y / top).clamp(0.0, 1.0)) * (HEIGHT - TOP - BOTTOM)
    }

    fn draw_axes(&self, svg: &mut String, top: f64) {
        for at in steps(nice_step(top), top) {
            let y = Self::y(at, top);
            let class = if at == 0.0 { "base" } else { "grid" };
            let _ = writeln!(
                svg,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                number(at)
            );
        }
        if !self.y_unit.is_empty() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT + 6.0,
                TOP + 12.0,
                self.y_unit
            );
        }
        for (at, label) in &self.x.ticks {
            let x = self.x(*at);
            // The last label must not be cut off.
            let anchor = if x > WIDTH - RIGHT - 16.0 {
                "end"
            } else {
                "middle"
            };
            let x = x.min(WIDTH - 2.0);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{label}</text>",
                HEIGHT - 8.0
            );
        }
    }

    fn draw(&self, svg: &mut String, series: &Series, top: f64) {
        let class = series.colour.class();
        if let [(x, y)] = series.points[..] {
            let _ = writeln!(
                svg,
                "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>",
                self.x(x),
                Self::y(y, top)
            );
            return;
        }
        let mut path = String::new();
        for (index, (x, y)) in series.points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x(*x), Self::y(*y, top));
        }
        if let (true, Some((first, _)), Some((last, _))) =
            (series.is_area, series.points.first(), series.points.last())
        {
            let floor = Self::y(0.0, top);
            let _ = writeln!(
                svg,
                "<path class=\"area {class}\" d=\"{path}L{:.1} {floor:.1}L{:.1} {floor:.1}Z\"/>",
                self.x(*last),
                self.x(*first)
            );
        }
        let _ = writeln!(svg, "<path class=\"line {class}\" d=\"{path}\"/>");
    }

    /// A strip for each place, which says its numbers and marks them while it is pointed at.
    fn draw_words(&self, svg: &mut String, top: f64) {
        let Some(first) = self.series.first() else {
            return;
        };
        let xs: Vec<f64> = first.points.iter().map(|(x, _)| self.x(*x)).collect();
        for (index, words) in self.words.iter().enumerate() {
            let Some(x) = xs.get(index).copied().filter(|_| !words.is_empty()) else {
                continue;
            };
            let before = index.checked_sub(1).and_then(|before| xs.get(before));
            let left = before.map_or(LEFT, |before| f64::midpoint(*before, x));
            let right = xs
                .get(index + 1)
                .map_or(WIDTH - RIGHT, |after| f64::midpoint(x, *after));
            let _ = write!(
                svg,
                "<g class=\"place\"><rect x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"><title>{words}</title></rect>",
                (right - left).max(0.5),
                HEIGHT - TOP - BOTTOM
            );
            for series in &self.series {
                if let Some((_, y)) = series.points.get(index) {
                    let _ = write!(
                        svg,
                        "<circle class=\"dot {}\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4\"/>",
                        series.colour.class(),
                        Self::y(*y, top)
                    );
                }
            }
            svg.push_str("</g>\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers() {
        for (end, step) in [
            (1.0, 0.5),
            (3.7, 1.0),
            (10.0, 5.0),
            (17_000.0, 5_000.0),
            (0.02, 0.005),
        ] {
            assert!(
                (nice_step(end) - step).abs() < step * 1e-6,
                "{end}: {}",
                nice_step(end)
            );
        }
        assert_eq!(number(1_500.0), "1.5k");
        assert_eq!(number(17_500.0), "17.5k");
        assert_eq!(number(0.25), "0.25");
    }

    #[test]
    fn a_curve_without_points_is_an_empty_chart_and_no_nonsense() {
        let chart = Chart {
            title: "Sold",
            note: "",
            series: vec![Series {
                name: "orders",
                colour: Colour::First,
                is_area: true,
                points: vec![],
            }],
            words: vec![],
            x: Axis::seconds(0.0),
            y_unit: "",
        };
        let svg = chart.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
