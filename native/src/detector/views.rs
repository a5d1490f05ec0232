//! All views of a sensor with the tail of each: what a sensor keeps once it has left its first readings.

use super::combine::combine;
use super::course::Course;
use super::prediction::Prediction;
use super::prototypes::Prototypes;
use super::shape::Shape;
use super::shift::Shift;
use super::signal::{Seen, Signal};
use super::tail::Tail;
use super::time_of_day::TimeOfDay;
use super::unrest::Unrest;
use super::view::{Look, View};
use super::volatility::Volatility;
use crate::wire::{put_f32s, put_varint, Reader, Wire, WireError};

/// Readings of which views learn before their tails do.
const FIRST_READINGS: f64 = 60.0;

/// From here on views speak together of an episode. Tails learn its beginning, and then every so many readings of it, until it has
/// lasted for so long that it is how the signal is now.
const EPISODE_DECADES: f64 = 4.0;
const EPISODE_LEARNED: u16 = 8;
const EPISODE_READINGS: u16 = 200;

/// A view with its tail.
#[derive(Debug, Clone, PartialEq, Default)]
struct Calibrated<V> {
    view: V,
    tail: Tail,
    decades: f32,
}

impl<V: View> Calibrated<V> {
    #[inline]
    fn look(&mut self, seen: &Seen, is_learned: bool) -> f32 {
        match self.view.look(seen, self.tail.level()) {
            Look::Rest => self.decades = 0.0,
            Look::Hold => {}
            Look::Residual(residual) => {
                self.decades = self.tail.surprise(residual);
                if is_learned && seen.readings > FIRST_READINGS {
                    self.tail.learn(residual, seen.memory as f32);
                }
            }
        }
        self.decades
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.view.save(out);
        self.tail.save(out);
        put_f32s(out, &[self.decades]);
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let (view, tail) = (V::load(reader)?, Tail::load(reader)?);
        let [decades] = reader.f32s()?;
        Ok(Self { view, tail, decades })
    }
}

/// How long the views have been speaking together, less the calm readings since.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Episode {
    readings: u16,
}

impl Episode {
    /// Whether tails learn the present reading. A tail that learned all of an episode would think it usual within minutes.
    fn is_learned(self) -> bool {
        self.readings.is_multiple_of(EPISODE_LEARNED) || self.readings >= EPISODE_READINGS
    }

    fn follow(&mut self, is_loud: bool) {
        self.readings = match self.readings {
            readings if is_loud => (readings + 1).min(2 * EPISODE_READINGS),
            EPISODE_READINGS.. => 0,
            readings => readings.saturating_sub(1),
        };
    }

    fn save(self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.readings));
    }

    fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        let readings = reader.varint()?;
        if readings > u64::from(2 * EPISODE_READINGS) {
            return Err(WireError::new(format!("an episode of {readings} readings")));
        }
        Ok(Self { readings: readings as u16 })
    }
}

/// What is checked on a view, by its type and name.
#[cfg(test)]
pub trait Contract {
    fn check<V: View>(&self, name: &str);
}

macro_rules! views {
    ($($field:ident: $view:ty, $name:literal;)*) => {
        pub const VIEW_NAMES: &[&str] = &[$($name),*];
        pub const VIEWS: usize = VIEW_NAMES.len();

        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Views {
            signal: Signal,
            episode: Episode,
            $($field: Calibrated<$view>,)*
        }

        /// The contract of views, checked on every one of them.
        #[cfg(test)]
        pub fn check_every(contract: &impl Contract) {
            $(contract.check::<$view>($name);)*
        }

        impl Views {
            fn look_all(&mut self, seen: &Seen, is_learned: bool) -> [f32; VIEWS] {
                [$(self.$field.look(seen, is_learned)),*]
            }

            pub fn save(&self, out: &mut Vec<u8>) {
                self.signal.save(out);
                self.episode.save(out);
                $(self.$field.save(out);)*
            }

            pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
                let (signal, episode) = (Signal::load(reader)?, Episode::load(reader)?);
                Ok(Self { signal, episode, $($field: Calibrated::load(reader)?,)* })
            }
        }
    };
}

views! {
    time_of_day: TimeOfDay, "time_of_day";
    shift: Shift, "shift";
    prediction: Prediction, "prediction";
    volatility: Volatility, "volatility";
    prototypes: Prototypes, "prototypes";
    shape_1: Shape<0>, "shape_1";
    shape_4: Shape<2>, "shape_4";
    shape_16: Shape<4>, "shape_16";
    unrest_4: Unrest<0>, "unrest_4";
    unrest_16: Unrest<1>, "unrest_16";
    unrest_64: Unrest<2>, "unrest_64";
}

impl Views {
    pub fn begin(value: f64) -> Self {
        Self { signal: Signal::begin(value), ..Self::default() }
    }

    /// Decades of each view for a reading, which is learned.
    pub fn look(
        &mut self,
        at_us: i64,
        value: f64,
        pace: f64,
        gap_intervals: Option<f64>,
        interval_s: f64,
    ) -> [f32; VIEWS] {
        let seen = self.signal.see(at_us, value, pace, gap_intervals, interval_s);
        let shares = self.look_all(&seen, self.episode.is_learned());
        self.episode.follow(combine(&shares) >= EPISODE_DECADES);
        self.signal.learn(value, &seen);
        shares
    }

    /// How the signal has gone, up to the reading at `at_us`.
    pub fn course(&self, at_us: i64) -> Course {
        Course {
            of_day: self.time_of_day.view.usual(at_us).map(|lifted| self.signal.lowered(lifted)),
            swings: [self.shape_1.view.swings(), self.shape_4.view.swings(), self.shape_16.view.swings()],
            unrest: [self.unrest_4.view.times(), self.unrest_16.view.times(), self.unrest_64.view.times()],
            ..self.signal.course()
        }
    }

    /// What is expected now, and half the width of the band around it.
    pub fn expected(&self) -> (f64, f64) {
        (self.signal.expected(), 2.0 * self.signal.deviation())
    }
}
