//! The times that readings of a body may have.

use super::fault::Fault;
use crate::instant;

pub(crate) struct Span {
    pub latest_us: i64,
}

impl Span {
    pub fn fault(&self, tracked_at_us: i64) -> Option<Fault> {
        if let Err(fault) = instant::accepted(tracked_at_us) {
            let shown = instant::text(tracked_at_us);
            return Some(Fault::new("time_out_of_range", format!("tracked_at {shown}: {fault}")));
        }
        (tracked_at_us > self.latest_us).then(|| {
            let ahead_s = (tracked_at_us - self.latest_us) as f64 / 1e6;
            Fault::new(
                "future",
                format!(
                    "tracked_at is {ahead_s:.1} s beyond the latest time that is accepted, {}",
                    instant::text(self.latest_us)
                ),
            )
        })
    }
}
