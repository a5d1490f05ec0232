//! Since when a value has not moved, for the rule `stuck`.

use crate::wire::{put_f64, put_signed, Reader, Wire};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Still {
    window_us: i64,
    /// The value from which it has not moved; NaN: none was seen yet.
    pub value: f64,
    pub since_us: i64,
    /// The newest reading that was seen.
    last_us: i64,
}

impl Still {
    pub fn within(window_us: i64) -> Self {
        Self { window_us, value: f64::NAN, since_us: 0, last_us: 0 }
    }

    /// Whether both have the same window.
    pub fn is_as_long_as(&self, other: &Self) -> bool {
        self.window_us == other.window_us
    }

    /// Whether it has stood within `band` for the window. Called in order of event time. Silence of more than a window
    /// tells nothing of what was meanwhile.
    #[inline]
    pub fn see(&mut self, at_us: i64, value: f64, band: f64) -> bool {
        let has_stayed = (value - self.value).abs() <= band; // of nothing seen yet: it has not
        if !has_stayed || at_us.saturating_sub(self.last_us) > self.window_us {
            (self.value, self.since_us) = (value, at_us);
        }
        self.last_us = at_us;
        at_us.saturating_sub(self.since_us) >= self.window_us
    }

    /// A reading came late: where it had moved, it has stood only since then.
    pub fn see_late(&mut self, at_us: i64, value: f64, band: f64) {
        if (value - self.value).abs() > band {
            self.since_us = self.since_us.max(at_us);
        }
    }

    /// Nothing was later than this, whatever it claimed.
    pub fn turn_back(&mut self, at_us: i64) {
        (self.since_us, self.last_us) = (self.since_us.min(at_us), self.last_us.min(at_us));
    }

    pub fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.window_us);
        put_f64(out, self.value);
        put_signed(out, self.since_us);
        put_signed(out, self.last_us);
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self {
            window_us: reader.signed()?,
            value: reader.f64_or_nan()?,
            since_us: reader.signed()?,
            last_us: reader.signed()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_from_the_window_on_until_it_moves_by_more_than_the_band() {
        let mut still = Still::within(60);
        let seen = [(0, 5.0), (30, 5.5), (59, 4.5), (60, 5.0), (90, 5.5), (91, 5.6), (150, 5.6), (151, 5.6)];
        let stood = seen.map(|(at, value)| still.see(at, value, 0.5));
        assert_eq!(stood, [false, false, false, true, true, false, false, true]);
    }

    #[test]
    fn silence_and_late_readings_say_that_it_may_have_moved() {
        let mut still = Still::within(60);
        assert!(!still.see(0, 5.0, 0.0) && still.see(60, 5.0, 0.0), "two readings, a window apart");
        assert!(!still.see(121, 5.0, 0.0) && still.see(181, 5.0, 0.0));
        still.see_late(150, 5.0, 0.0);
        assert!(still.see(182, 5.0, 0.0));
        still.see_late(150, 6.0, 0.0);
        assert!(!still.see(209, 5.0, 0.0) && still.see(210, 5.0, 0.0));
        still.turn_back(200);
        assert_eq!((still.since_us, still.last_us), (150, 200));
        let mut bytes = Vec::new();
        still.save(&mut bytes);
        assert_eq!(Still::load(&mut Reader::new(&bytes)), Ok(still));
    }
}
