//! Where a step's effects go. A replay changes the same state and tells nobody.

use crate::alarm::Delays;
use crate::detector::Score;
use crate::facility_score::score::FacilityScore;
use crate::journal::Event;
use crate::number::Datum;
use crate::past::PastReading;
use crate::rule::{Rule, Side};

/// A reading as it is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredRow<'a> {
    pub sensor_no: i32,
    pub tracked_at_us: i64,
    pub datum: Datum<'a>,
    pub value: Option<f64>,
    pub score: Option<f32>,
    pub flags: u16,
}

pub trait Sink {
    const WANTED: bool;
    /// Whether detectors look at the readings. Where they do not, they learn nothing either.
    const SCORED: bool = true;
    /// For each sensor of the batch that begins its number, if it is known.
    fn sensors(&mut self, numbers: impl FnOnce() -> Vec<Option<i32>>);
    /// What the detector says of the reading that is stored next; only of one in order.
    #[inline]
    fn scored(&mut self, _: &Score) {}
    fn stored(&mut self, row: &StoredRow<'_>, is_news: bool);
    fn unknown(&mut self, sensor_id: &str, tracked_at_us: i64, datum: Datum<'_>);
    fn event(&mut self, event: Event);
    /// An excursion that began and ended in the past, with its end; by a rule that is no limit it has no side.
    fn past_excursion(&mut self, _: Option<Side>, _: Event, _until_us: i64) {}
    /// A reading of the past that is judged by itself; `event` is of a violation.
    fn past_reading(&mut self, _: (i32, Rule), _: Side, _: Delays, _: PastReading, _event: impl FnOnce() -> Event) {}
    /// What the facility as a whole says of a tick.
    fn facility_scored(&mut self, _: &FacilityScore) {}
}

/// A replay's sink.
#[derive(Debug, Default)]
pub struct Nobody;

impl Sink for Nobody {
    const WANTED: bool = false;
    fn sensors(&mut self, _: impl FnOnce() -> Vec<Option<i32>>) {}
    #[inline]
    fn stored(&mut self, _: &StoredRow<'_>, _: bool) {}
    fn unknown(&mut self, _: &str, _: i64, _: Datum<'_>) {}
    fn event(&mut self, _: Event) {}
}
