//! What marks mean: which slice of which picture goes where, and the commands that show it.

/// Page boxes may have more decimals than millipoints have.
const TOLERANCE: f64 = 0.001;
const MILLIPOINTS: f64 = 1000.0;

/// A rectangle in PDF units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Left.
    pub x0: f64,
    /// Bottom.
    pub y0: f64,
    /// Right.
    pub x1: f64,
    /// Top.
    pub y1: f64,
}

impl Area {
    /// From millipoints.
    pub fn of_millipoints(corners: [i64; 4]) -> Self {
        let [x0, y0, x1, y1] = corners.map(|value| value as f64 / MILLIPOINTS);
        Self { x0, y0, x1, y1 }
    }

    /// What both share; none if that has no area.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let shared = Self { x0: self.x0.max(other.x0), y0: self.y0.max(other.y0), x1: self.x1.min(other.x1), y1: self.y1.min(other.y1) };
        (shared.x0 < shared.x1 && shared.y0 < shared.y1).then_some(shared)
    }

    /// Whether it lies within the visible part of a page.
    pub fn lies_within(&self, visible: &Self) -> bool {
        !(self.x0 < visible.x0 - TOLERANCE
            || self.y0 < visible.y0 - TOLERANCE
            || self.x1 > visible.x1 + TOLERANCE
            || self.y1 > visible.y1 + TOLERANCE)
    }

    /// Width and height, to a thousandth, of the appearance on a page with that rotation.
    pub fn shown_size(&self, rotation: u16) -> (f64, f64) {
        let (width, height) = (rounded(self.x1 - self.x0), rounded(self.y1 - self.y0));
        if rotation % 180 == 0 {
            (width, height)
        } else {
            (height, width)
        }
    }

    /// As an array.
    pub fn array(&self) -> String {
        let [a, b, c, d] = [self.x0, self.y0, self.x1, self.y1].map(decimal);
        format!("[{a} {b} {c} {d}]")
    }
}

fn rounded(value: f64) -> f64 {
    format!("{value:.3}").parse().unwrap_or(value)
}

/// `12`, `12.5`, `-0.000001`: plain decimals, never with an exponent, at most six places.
pub fn decimal(value: f64) -> String {
    thousandths(value).unwrap_or_else(|| exactly(value))
}

/// The same for whole thousandths, which most numbers are and which are spelled without looking at every bit.
fn thousandths(value: f64) -> Option<String> {
    let scaled = (value * MILLIPOINTS).round();
    // Below that bound the nearest double of a thousandth is nearer to it than any other number of six decimals.
    let is_whole = scaled.abs() < 1e12 && scaled / MILLIPOINTS == value;
    if !is_whole {
        return None;
    }
    let scaled = scaled as i64;
    let (sign, whole, rest) = (if scaled < 0 { "-" } else { "" }, scaled.unsigned_abs() / 1000, scaled.unsigned_abs() % 1000);
    Some(match rest {
        0 => format!("{sign}{whole}"),
        rest => format!("{sign}{whole}.{rest:03}").trim_end_matches('0').to_owned(),
    })
}

fn exactly(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if matches!(text, "-0" | "") {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Part `number` (from 0) of `of` equal vertical parts of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its place from the left.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// One visible mark on one page.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Index of the page.
    pub page: usize,
    /// Left, bottom, right, top, in millipoints.
    pub rectangle: [i64; 4],
    /// Index of the picture among the plan's.
    pub picture: usize,
    /// The part of the picture that is shown.
    pub slice: Slice,
}

/// The appearance is turned against the page's own clockwise turn, so that it stands upright (ISO 32000-2 §8.3.3).
pub fn upright(rotation: u16) -> &'static str {
    match rotation {
        90 => "0 1 -1 0 0 0",
        180 => "-1 0 0 -1 0 0",
        270 => "0 -1 1 0 0 0",
        _ => "1 0 0 1 0 0",
    }
}

/// Content that shows the slice scaled to fit the rectangle and centred in it, and nothing of its neighbours.
///
/// Multiplied onto the page, as ink is; `opaque` where the document's standard allows no transparency.
pub fn placed(picture: &Area, part: Slice, width: f64, height: f64, opaque: bool) -> String {
    let slice_width = (picture.x1 - picture.x0) / f64::from(part.of);
    let picture_height = picture.y1 - picture.y0;
    let scale = (width / slice_width).min(height / picture_height);
    let (shown_width, shown_height) = (slice_width * scale, picture_height * scale);
    let (x, y) = ((width - shown_width) / 2.0, (height - shown_height) / 2.0);
    let shift = x - (picture.x0 + f64::from(part.number) * slice_width) * scale;
    let words = |values: &[f64]| values.iter().map(|&value| decimal(value)).collect::<Vec<_>>().join(" ");
    let clip = words(&[x, y, shown_width, shown_height]);
    let matrix = words(&[scale, 0.0, 0.0, scale, shift, y - picture.y0 * scale]);
    let ink = if opaque { "" } else { "/Multiply gs\n" };
    format!("q\n{ink}{clip} re W n\n{matrix} cm\n/Picture Do\nQ\n")
}

#[cfg(test)]
mod tests {
    use super::{decimal, exactly, thousandths};

    #[test]
    fn numbers_are_spelled_the_same_either_way() {
        let mut state = 1_u64;
        let mut taken = 0;
        for round in 0..20_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = state >> (11 + round % 50);
            let whole = bits as i64 as f64 * if round % 2 == 0 { 1.0 } else { -1.0 };
            for value in [whole / 1000.0, whole, whole / 8.0, whole / 7.0, whole / 1_000_000.0, f64::from_bits(state), whole * 1e-9] {
                assert_eq!(decimal(value), exactly(value), "{value:e}");
                taken += u64::from(thousandths(value).is_some());
            }
        }
        assert!(taken > 20_000, "{taken}");
        for value in [0.0, -0.0, 0.0004, -0.0004, 0.0005, 0.1 + 0.2, 1e15, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 119.0, 0.999_999_9] {
            assert_eq!(decimal(value), exactly(value), "{value:e}");
        }
    }
}
