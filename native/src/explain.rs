//! Why a reading is unusual, in words an operator reads and in fields: one sentence a view, chosen by the signal's course.

use crate::detector::{Course, Reason, Score, BLOCKS, VIEW_NAMES};
use crate::instant::US_PER_S;
use crate::number::repr;
use crate::rule::Rule;

/// A view that says less than this does not explain anything.
const DECADES_MIN: f32 = 2.0;
/// A reading this many usual steps from the one before is a jump, if it also leaves the spread.
const JUMP_STEPS: f64 = 6.0;
/// A short mean this many spreads from a longer one is on its way.
const WAY_SPREADS: f64 = 0.5;
/// So many crossings of its mean make a shape an oscillation; more are restlessness.
const SWINGS: std::ops::RangeInclusive<u32> = 3..=7;
/// What has been unusual for less than this has only begun.
const SINCE_INTERVALS: f64 = 2.0;
const BLOCK_TIMES: f64 = BLOCKS as f64;
/// What an unrest view calls now reaches back about so many of its half-lives.
const UNREST_HALVES: f64 = 4.0;
/// What a view is given to say that has no sentence; a test leaves none without.
const UNEXPLAINED: &str = "is unlike what it has been";

/// A reading that is to be told, and what is known of its sensor.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    pub value: f64,
    pub before: Option<f64>,
    pub unit: &'a str,
    pub at_us: i64,
    /// When the score began to be unusual.
    pub since_us: i64,
    pub score: &'a Score,
    pub course: Course,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Movement {
    Jump { up: bool },
    Way { up: bool },
    Swings,
    Elsewhere { up: bool },
    None,
}

impl Movement {
    fn name(self) -> &'static str {
        match self {
            Self::Jump { up: true } => "jump_up",
            Self::Jump { up: false } => "jump_down",
            Self::Way { up: true } => "rising",
            Self::Way { up: false } => "falling",
            Self::Swings => "oscillating",
            Self::Elsewhere { up: true } => "high",
            Self::Elsewhere { up: false } => "low",
            Self::None => "shape",
        }
    }
}

fn either(up: bool, yes: &'static str, no: &'static str) -> &'static str {
    if up {
        yes
    } else {
        no
    }
}

/// The scale of a shape view: readings in a block.
fn shape_readings(view: &str) -> Option<u32> {
    view.strip_prefix("shape_")?.parse().ok()
}

/// The pace of an unrest view: readings in the half-life of its slower mean.
fn band_readings(view: &str) -> Option<u32> {
    view.strip_prefix("unrest_")?.parse().ok()
}

impl Picture<'_> {
    /// The views that say something, loudest first.
    fn voices(&self) -> Vec<(&'static str, f32)> {
        let all = VIEW_NAMES.iter().copied().zip(self.score.shares);
        let mut voices: Vec<_> = all.filter(|(_, decades)| *decades >= DECADES_MIN).collect();
        voices.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        voices
    }

    fn says(&self, view: &str) -> bool {
        self.voices().iter().any(|(name, _)| *name == view)
    }

    fn band(&self) -> (f64, f64) {
        (self.score.expected - self.score.band, self.score.expected + self.score.band)
    }

    fn swings(&self, readings: u32) -> u32 {
        self.course.swings.get(readings.ilog2() as usize / 2).copied().unwrap_or(0)
    }

    fn movement(&self) -> Movement {
        let course = &self.course;
        let step = self.before.map_or(0.0, |before| self.value - before);
        if step.abs() > (JUMP_STEPS * course.step_long).max(course.spread) {
            return Movement::Jump { up: step > 0.0 };
        }
        let loudest = self.voices().into_iter().find_map(|(view, _)| shape_readings(view));
        if loudest.is_some_and(|readings| SWINGS.contains(&self.swings(readings))) {
            return Movement::Swings;
        }
        let [short, _, longer, _] = course.means;
        if (short - longer).abs() > WAY_SPREADS * course.spread {
            return Movement::Way { up: short > longer };
        }
        match self.band() {
            (low, _) if self.value < low => Movement::Elsewhere { up: false },
            (_, high) if self.value > high => Movement::Elsewhere { up: true },
            _ => Movement::None,
        }
    }

    /// The view whose sentence stands for all: of the loudest the one that says it best. A jump is seen by everybody.
    fn lead(&self, movement: Movement) -> Option<&'static str> {
        let voices = self.voices();
        let (_, most) = *voices.first()?;
        if matches!(movement, Movement::Jump { .. }) && self.says("prediction") {
            return Some("prediction");
        }
        let fits = |view: &str| match (movement, view) {
            (Movement::Way { .. }, "time_of_day") => 4,
            (Movement::Swings, view) if shape_readings(view).is_some() => 4,
            (_, "shift" | "time_of_day") => 3,
            (_, view) if view == "volatility" || band_readings(view).is_some() => 2,
            (_, view) if shape_readings(view).is_some() => 1,
            _ => 0,
        };
        let mut lead = None;
        for (view, _) in voices.iter().filter(|(_, decades)| *decades >= most - 1.0) {
            if lead.is_none_or(|lead| fits(view) > fits(lead)) {
                lead = Some(*view);
            }
        }
        lead
    }

    fn sentence(&self, view: &str, movement: Movement) -> String {
        match view {
            "time_of_day" => self.of_day(movement),
            "shift" => self.of_shift(movement),
            "prediction" => match movement {
                Movement::Jump { up } => format!("jumped {} between two readings", either(up, "up", "down")),
                _ => "does not follow from the readings before it".into(),
            },
            "volatility" => self.of_volatility(),
            "prototypes" => self.of_states(),
            view => match (shape_readings(view), band_readings(view)) {
                (Some(readings), _) => self.of_shape(readings, movement),
                (_, Some(readings)) => self.of_unrest(readings),
                _ => UNEXPLAINED.into(),
            },
        }
    }

    fn of_day(&self, movement: Movement) -> String {
        let above = self.course.of_day.is_some_and(|usual| self.value > usual);
        match movement {
            Movement::Way { up } if up == above && self.says("shift") => {
                format!("is {} faster than this time of day ever saw", either(up, "rising", "falling"))
            }
            _ => format!("is {} than this time of day ever saw", either(above, "higher", "lower")),
        }
    }

    fn of_shift(&self, movement: Movement) -> String {
        let [_, now, _, usual] = self.course.means;
        match movement {
            Movement::Way { up } => format!("is {} faster than usual", either(up, "rising", "falling")),
            _ => format!("has moved {} its usual level", either(now > usual, "above", "below")),
        }
    }

    fn of_volatility(&self) -> String {
        let ratio = self.course.step / self.course.step_long.max(f64::MIN_POSITIVE);
        match ratio {
            ratio if ratio > 1.0 => {
                format!("is noisier than usual (steps {} times as large)", digits(ratio.min(1e6), 1.0, 1))
            }
            _ => "is quieter than usual".into(),
        }
    }

    fn of_unrest(&self, readings: u32) -> String {
        // bands follow each other by a factor of four, the first is of four readings
        let times = self.course.unrest.get(readings.ilog2() as usize / 2 - 1).copied().unwrap_or(1.0);
        let span = span(UNREST_HALVES * f64::from(readings) * self.course.interval_s);
        match f64::from(times) {
            times if times > 1.0 => {
                format!("swings {} times as widely as usual over the last {span}", digits(times.min(1e6), 1.0, 1))
            }
            _ => format!("is calmer over the last {span} than usual"),
        }
    }

    fn of_states(&self) -> String {
        match self.band() {
            (low, _) if self.value < low => "is lower than it has been".into(),
            (_, high) if self.value > high => "is higher than it has been".into(),
            _ => "moves at this level as it has not before".into(),
        }
    }

    fn of_shape(&self, readings: u32, movement: Movement) -> String {
        let span = span(BLOCK_TIMES * f64::from(readings) * self.course.interval_s);
        match (self.swings(readings), movement) {
            (swings, _) if SWINGS.contains(&swings) => format!("oscillates over the last {span} as it has not before"),
            (swings, _) if swings > *SWINGS.end() => format!("is restless over the last {span} as it has not been"),
            (_, Movement::Way { up }) => {
                format!("is {} over the last {span} in a way not seen before", either(up, "rising", "falling"))
            }
            _ => format!("has an unusual shape over the last {span}"),
        }
    }

    /// All in one: "is falling faster than …: 61.2 hPa, expected 63.9 to 64.8; unusual for 12 min".
    pub fn text(&self) -> String {
        let movement = self.movement();
        let sentence = match (self.score.reason, self.lead(movement)) {
            (Some(reason), _) => of_kind(reason).into(),
            (None, Some(view)) => self.sentence(view, movement),
            (None, None) => "is unusual".into(),
        };
        let unusual_s = (self.at_us - self.since_us) as f64 / US_PER_S as f64;
        let since = if unusual_s >= SINCE_INTERVALS * self.course.interval_s.max(1.0) {
            format!("; unusual for {}", span(unusual_s))
        } else {
            String::new()
        };
        format!("{sentence}: {}{since}", self.numbers())
    }

    /// "61.2 hPa, expected 63.9 to 64.8", or that the value by itself is usual.
    fn numbers(&self) -> String {
        let (low, high) = self.band();
        let band = self.score.band;
        let is_inside = (low..=high).contains(&self.value);
        let said = if is_inside { "by itself within" } else { "expected" };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        let value = repr(self.value);
        match self.score.reason {
            None => {}
            Some(Reason::CounterRate) => {
                let [low, high] = [low.max(0.0), high].map(|rate| digits(rate, band, 6));
                return format!("{value}{unit}, expected {low} to {high}{unit} a second");
            }
            Some(_) => return format!("{value}{unit}"),
        }
        let places = value.split_once('.').map_or(1, |(_, places)| places.len());
        format!("{value}{unit}, {said} {} to {}", digits(low, band, places), digits(high, band, places))
    }

    /// The same for programs.
    pub fn fields(&self) -> serde_json::Value {
        let movement = self.movement();
        let (low, high) = self.band();
        let voice = |(view, decades): (&'static str, f32)| {
            let decades = f64::from((decades * 100.0).round()) / 100.0;
            serde_json::json!({"name": view, "decades": decades, "says": self.sentence(view, movement)})
        };
        serde_json::json!({
            "rule": Rule::Anomaly.name(),
            "value": self.value,
            "unit": self.unit,
            "score": self.score.decades,
            "threshold": self.score.threshold,
            "expected": self.score.expected,
            "band": [low, high],
            "since_us": self.since_us,
            "movement": movement.name(),
            "kind": self.score.kind.name(),
            "reason": self.score.reason.map(Reason::name),
            "views": self.voices().into_iter().map(voice).collect::<Vec<_>>(),
        })
    }
}

/// What speaks for itself, by the kind of signal.
fn of_kind(reason: Reason) -> &'static str {
    match reason {
        Reason::Stuck => "has stood still for longer than it ever does",
        Reason::RareMove => "moved as it hardly ever does",
        Reason::LongDwell => "has stayed for longer than it ever did",
        Reason::ShortDwell => "moved on sooner than it ever did",
        Reason::CounterReset => "began to count anew",
        Reason::CounterRate => "counts at an unusual rate",
        Reason::Gap => "was silent for longer than it ever was",
    }
}

/// A number with as many digits as its band makes sensible, and no more decimals than the sensor gives.
fn digits(value: f64, band: f64, places_max: usize) -> String {
    let size = value.abs().max(band.abs());
    if size != 0.0 && !(1e-4..1e9).contains(&size) {
        return format!("{value:.2e}");
    }
    // two digits of the band
    let places = if band > 0.0 { (1.0 - libm::floor(libm::log10(band))).clamp(0.0, 6.0) } else { 2.0 };
    format!("{value:.*}", (places as usize).min(places_max))
}

/// A time as people say it.
fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 90.0 * 60.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 36.0 * 3600.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} days", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests;
