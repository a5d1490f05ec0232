//! All views of a sensor with the tail of each: what a sensor keeps once it has left its first readings.

use super::course::Course;
use super::prediction::Prediction;
use super::prototypes::Prototypes;
use super::shape::Shape;
use super::shift::Shift;
use super::signal::{Seen, Signal};
use super::tail::Tail;
use super::time_of_day::TimeOfDay;
use super::volatility::Volatility;
use super::{Look, View};
use crate::wire::{put_f32s, Reader, Wire};

/// Readings of which views learn before their tails do.
const FIRST_READINGS: f64 = 60.0;

/// A view with its tail.
#[derive(Debug, Clone, PartialEq, Default)]
struct Calibrated<V> {
    view: V,
    tail: Tail,
    decades: f32,
}

impl<V: View> Calibrated<V> {
    #[inline]
    fn look(&mut self, seen: &Seen) -> f32 {
        match self.view.look(seen, self.tail.level()) {
            Look::Rest => self.decades = 0.0,
            Look::Hold => {}
            Look::Residual(residual) => {
                self.decades = self.tail.surprise(residual);
                if seen.readings > FIRST_READINGS {
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

macro_rules! views {
    ($($field:ident: $view:ty, $name:literal;)*) => {
        pub const VIEW_NAMES: &[&str] = &[$($name),*];
        pub const VIEWS: usize = VIEW_NAMES.len();

        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Views {
            signal: Signal,
            $($field: Calibrated<$view>,)*
        }

        impl Views {
            fn look_all(&mut self, seen: &Seen) -> [f32; VIEWS] {
                [$(self.$field.look(seen)),*]
            }

            pub fn save(&self, out: &mut Vec<u8>) {
                self.signal.save(out);
                $(self.$field.save(out);)*
            }

            pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
                Ok(Self { signal: Signal::load(reader)?, $($field: Calibrated::load(reader)?,)* })
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
    shape_64: Shape<6>, "shape_64";
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
        let shares = self.look_all(&seen);
        self.signal.learn(value, &seen);
        shares
    }

    /// How the signal has gone, up to the reading at `at_us`.
    pub fn course(&self, at_us: i64) -> Course {
        Course {
            of_day: self.time_of_day.view.usual(at_us).map(|lifted| self.signal.lowered(lifted)),
            swings: [
                self.shape_1.view.swings(),
                self.shape_4.view.swings(),
                self.shape_16.view.swings(),
                self.shape_64.view.swings(),
            ],
            ..self.signal.course()
        }
    }

    /// What is expected now, and half the width of the band around it.
    pub fn expected(&self) -> (f64, f64) {
        (self.signal.expected(), 2.0 * self.signal.deviation())
    }
}
