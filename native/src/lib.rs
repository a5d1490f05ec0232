//! The native core of GasInSight: message bodies become columns, columns become alarms and rows to store.
//!
//! Pure Rust, deterministic to the bit on every machine: fixed order of summation, `libm` from a crate, no iteration over
//! hash maps into anything that leaves. Only `python.rs` and its folder know Python; everything else is tested with cargo alone.
//!
//! In the order of the walk: `decode` (bodies to batches), `batch` (the one binary form of readings), `core` (a facility's
//! sensors side by side), which asks `detector` for scores, `alarm` for transitions, `groups` for what some sensors say
//! together and `facility_score` for what all do, and tells a `sink`, as a rule the step's `effects`; `snapshot` turns a
//! core into bytes and back.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod alarm;
pub mod alarms;
pub mod batch;
mod calendar;
mod clock;
pub mod command;
pub mod config;
pub mod copy;
pub mod copy_wire;
pub mod core;
pub mod course;
pub mod decode;
pub mod detection;
pub mod detector;
pub mod downsample;
pub mod effects;
pub mod entry;
mod erratic;
mod excursions;
mod explain;
mod facility_alarm;
pub mod facility_score;
pub mod flag;
pub mod frame;
pub mod groups;
pub mod instant;
pub mod journal;
pub mod limits;
mod moved;
pub mod newest;
mod news;
pub mod number;
mod past;
pub mod printable;
pub mod profiles;
mod quality;
mod rate;
pub mod recent;
pub mod rule;
pub mod rule_set;
pub mod rules;
pub mod sensor;
pub mod series;
mod silence;
pub mod sink;
pub mod snapshot;
pub mod spelling;
mod still;
mod strange;
mod trust;
mod upkeep;
mod usable;
pub mod uuid;
pub mod wanted;
pub mod wire;
mod words;

#[cfg(feature = "python")]
mod python;

#[cfg(test)]
mod seeded;
