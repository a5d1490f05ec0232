//! A reading as the kinds of signals see it.

#[derive(Debug, Clone, Copy)]
pub struct Observed {
    pub at_us: i64,
    pub value: f64,
    pub elapsed_s: f64,
    pub interval_s: f64,
    pub after_gap: bool,
    /// The gap is far longer than any before.
    pub is_strange_gap: bool,
    /// One false alarm in this time.
    pub budget_s: f64,
}
