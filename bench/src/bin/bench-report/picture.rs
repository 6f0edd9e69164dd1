//! Pictures: bars and lines as SVG, on scales of powers of ten.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::numbers::number;

/// Colours of series: told apart with most kinds of colour blindness (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const WIDTH: f64 = 860.0;
/// Between the picture's edge and its plot.
const MARGIN: f64 = 50.0;

/// A picture.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// Of its file, without an end.
    pub(crate) name: String,
    pub(crate) title: String,
    /// SVG.
    pub(crate) text: String,
}

impl Picture {
    /// From the root of the repository.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("bench/results/{}.svg", self.name))
    }
}

/// A named bar.
#[derive(Clone, Debug)]
pub(crate) struct Length {
    pub(crate) name: String,
    pub(crate) value: f64,
}

/// A named line: points by x and y.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<[f64; 2]>,
}

/// SVG under way.
struct Canvas {
    text: String,
}

impl Canvas {
    fn new(title: &str, height: f64) -> Self {
        let mut canvas = Self { text: String::new() };
        canvas.put(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">"
        ));
        canvas.put(&format!("<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>"));
        canvas.text_at([MARGIN, 22.0], "start", title);
        canvas
    }

    fn put(&mut self, element: &str) {
        writeln!(self.text, "{element}").expect("a string takes all text");
    }

    fn text_at(&mut self, at: [f64; 2], anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let [x, y] = at;
        self.put(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222\">{text}</text>"
        ));
    }

    fn line(&mut self, from: [f64; 2], to: [f64; 2], colour: &str) {
        self.put(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
            from[0], from[1], to[0], to[1]
        ));
    }

    fn finish(mut self) -> String {
        self.put("</svg>");
        self.text
    }
}

/// Powers of ten around all values.
#[derive(Clone, Copy, Debug)]
struct Decades {
    low: f64,
    high: f64,
}

impl Decades {
    fn around(values: impl Iterator<Item = f64> + Clone) -> Self {
        let positive = values.filter(|value| *value > 0.0);
        let low = positive.clone().reduce(f64::min).unwrap_or(1.0).log10().floor();
        let high = positive.reduce(f64::max).unwrap_or(10.0).log10().ceil();
        Self { low, high: high.max(low + 1.0) }
    }

    /// Where a value is, from 0 to 1.
    fn place(self, value: f64) -> f64 {
        ((value.max(f64::MIN_POSITIVE).log10() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The powers themselves.
    fn ticks(self) -> impl Iterator<Item = f64> {
        std::iter::successors(Some(self.low), |power| Some(power + 1.0))
            .take_while(move |power| *power <= self.high)
            .map(|power| 10_f64.powf(power))
    }
}

/// Horizontal bars that begin at 1: to the right what is better, to the left what is worse.
pub(crate) fn bars(title: &str, lengths: &[Length]) -> String {
    const ROW: f64 = 22.0;
    const NAMES: f64 = 170.0;
    let rows: f64 = lengths.iter().map(|_| ROW).sum();
    let mut canvas = Canvas::new(title, rows + 90.0);
    let values = lengths.iter().map(|length| length.value).chain([0.5, 2.0]);
    let scale = Decades::around(values);
    let (left, width) = (MARGIN + NAMES, WIDTH - 2.0 * MARGIN - NAMES - 30.0);
    let at = |value: f64| left + scale.place(value) * width;
    for tick in scale.ticks() {
        canvas.line([at(tick), 36.0], [at(tick), 44.0 + rows], "#ccc");
        canvas.text_at([at(tick), 62.0 + rows], "middle", &number(tick));
    }
    let mut top = 40.0;
    for length in lengths {
        let (from, to) = (at(length.value.min(1.0)), at(length.value.max(1.0)));
        let colour = if length.value >= 1.0 { COLOURS[2] } else { COLOURS[1] };
        canvas.text_at([left - 10.0, top + 15.0], "end", &length.name);
        canvas.put(&format!(
            "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            top + 3.0,
            (to - from).max(1.0),
            ROW - 6.0
        ));
        canvas.text_at([to + 6.0, top + 15.0], "start", &number(length.value));
        top += ROW;
    }
    canvas.line([at(1.0), 36.0], [at(1.0), 44.0 + rows], "#222");
    canvas.finish()
}

/// Latency by quantile: the nines are evenly apart, so that the tail has room.
pub(crate) fn distributions(title: &str, lines: &[Line]) -> String {
    const HEIGHT: f64 = 380.0;
    /// Up to 99.99 %.
    const NINES_MAX: f64 = 4.0;
    let mut canvas = Canvas::new(title, HEIGHT + 20.0);
    let values = lines.iter().flat_map(|line| line.points.iter().map(|[_, us]| *us));
    let scale = Decades::around(values);
    let (left, width) = (MARGIN + 50.0, WIDTH - 2.0 * MARGIN - 180.0);
    let (top, height) = (40.0, HEIGHT - 60.0);
    let across =
        |quantile: f64| left + (-(1.0 - quantile).log10()).min(NINES_MAX) / NINES_MAX * width;
    let down = |us: f64| top + (1.0 - scale.place(us)) * height;
    for tick in scale.ticks() {
        canvas.line([left, down(tick)], [left + width, down(tick)], "#ccc");
        canvas.text_at([left - 6.0, down(tick) + 4.0], "end", &format!("{} us", number(tick)));
    }
    for (quantile, name) in [
        (0.0, "0"),
        (0.5, "50 %"),
        (0.9, "90 %"),
        (0.99, "99 %"),
        (0.999, "99.9 %"),
        (0.9999, "99.99 %"),
    ] {
        canvas.line([across(quantile), top], [across(quantile), top + height], "#ccc");
        canvas.text_at([across(quantile), top + height + 18.0], "middle", name);
    }
    let mut name_at = top + 10.0;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let shown = line.points.iter().filter(|[quantile, _]| *quantile <= 0.9999);
        let points: Vec<String> = shown
            .map(|[quantile, us]| format!("{:.1},{:.1}", across(*quantile), down(*us)))
            .collect();
        canvas.put(&format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        ));
        let right = left + width + 12.0;
        canvas.line([right, name_at - 4.0], [right + 20.0, name_at - 4.0], colour);
        canvas.text_at([right + 26.0, name_at], "start", &line.name);
        name_at += 18.0;
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use super::{Decades, Length, Line, bars, distributions};

    #[test]
    fn a_scale_holds_its_values() {
        let scale = Decades::around([30.0, 4000.0].into_iter());
        assert_eq!(scale.ticks().collect::<Vec<_>>(), [10.0, 100.0, 1000.0, 10_000.0]);
        assert!(scale.place(10.0).abs() < 1e-9 && (scale.place(10_000.0) - 1.0).abs() < 1e-9);
        assert!((scale.place(1000.0) - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn pictures_are_whole_and_show_every_series() {
        let lengths =
            [("a<b", 0.5), ("c", 3.0)].map(|(name, value)| Length { name: name.to_owned(), value });
        let text = bars("ratios", &lengths);
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n"));
        assert_eq!((text.matches("<rect").count(), text.contains("a&lt;b")), (3, true));
        let points = vec![[0.5, 100.0], [0.999, 2000.0], [1.0, 9000.0]];
        let lines = ["x", "y"].map(|name| Line { name: name.to_owned(), points: points.clone() });
        assert_eq!(distributions("latency", &lines).matches("<polyline").count(), 2);
    }
}
