//! Readings as an export gives them: under their sensors' ids, in the order of UTC day, place of the sensor, time.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StringViewArray, UInt32Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use arrow_select::take::take;
use foldhash::fast::RandomState;

use super::fault::CopyFault;

const DAY_US: i64 = 86_400_000_000;
/// With more places and days than this, most of them empty, counting them costs more than sorting the rows.
const BINS_A_ROW_MAX: usize = 4;

/// Where each sensor stands, and what it is called.
pub struct Places {
    place_of: HashMap<i32, u32, RandomState>,
    facility_ids: StringViewArray,
    sensor_ids: StringViewArray,
}

impl Places {
    /// Numbers and ids of the sensors in their order, as many of each.
    pub fn new(numbers: &[i32], facility_ids: &[String], sensor_ids: &[String]) -> Result<Self, CopyFault> {
        if facility_ids.len() != numbers.len() || sensor_ids.len() != numbers.len() {
            return Err(CopyFault::new("as many ids are needed as there are sensors"));
        }
        Ok(Self {
            place_of: numbers.iter().copied().zip(0..).collect(),
            facility_ids: facility_ids.iter().map(Some).collect(),
            sensor_ids: sensor_ids.iter().map(Some).collect(),
        })
    }

    /// `rows` have the number of a sensor and a time first; the ids take the place of the number.
    pub fn in_order(&self, rows: &RecordBatch) -> Result<RecordBatch, CopyFault> {
        let (order, places) = self.order(rows)?;
        let order = UInt32Array::from(order);
        let mut columns = vec![named(&self.facility_ids, &places)?, named(&self.sensor_ids, &places)?];
        let mut fields = ["facility_id", "sensor_id"].map(|name| Field::new(name, DataType::Utf8View, true)).to_vec();
        for (column, field) in rows.columns().iter().zip(rows.schema().fields()).skip(1) {
            columns.push(take(column, &order, None).map_err(refused)?);
            fields.push(field.as_ref().clone());
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(refused)
    }

    /// Which row comes where, and the place of its sensor.
    fn order(&self, rows: &RecordBatch) -> Result<(Vec<u32>, Vec<u32>), CopyFault> {
        let expected = || CopyFault::new("a sensor's number and a time come first, and neither is null");
        let numbers = rows.columns().first().and_then(|column| column.as_primitive_opt::<Int32Type>());
        let times = rows.columns().get(1).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let (numbers, times) = numbers.zip(times).ok_or_else(expected)?;
        if numbers.null_count() + times.null_count() > 0 {
            return Err(expected());
        }
        let mut places = Vec::with_capacity(rows.num_rows());
        for number in numbers.values() {
            let Some(&place) = self.place_of.get(number) else {
                return Err(CopyFault::new(format!("a reading of sensor number {number}, which was not asked for")));
            };
            places.push(place);
        }
        let order = order_of(times.values(), &places, self.facility_ids.len());
        let places = order.iter().filter_map(|&row| places.get(row as usize).copied()).collect();
        Ok((order, places))
    }
}

/// Rows by day, place and time; those that are the same in all three as they came.
fn order_of(times: &[i64], places: &[u32], places_count: usize) -> Vec<u32> {
    let day_of = |time: i64| time.div_euclid(DAY_US);
    let (Some(&earliest), Some(&latest)) = (times.iter().min(), times.iter().max()) else { return Vec::new() };
    let first_day = day_of(earliest);
    let days = usize::try_from(day_of(latest) - first_day + 1).unwrap_or(usize::MAX);
    let bins = days.saturating_mul(places_count);
    if bins > BINS_A_ROW_MAX * times.len() {
        let mut keys: Vec<_> = (0_u32..).zip(times.iter().zip(places)).collect();
        keys.sort_by_key(|&(_, (&time, &place))| (day_of(time), place, time)); // they are runs, which it puts together
        return keys.into_iter().map(|(row, _)| row).collect();
    }
    let bin_of = |time: i64, place: u32| {
        usize::try_from(day_of(time) - first_day).unwrap_or_default() * places_count + place as usize
    };
    in_bins(times, places, bins, bin_of)
}

/// Readings of a sensor nearly always lie in the order of their time, so that counting says where each row goes.
fn in_bins(times: &[i64], places: &[u32], bins: usize, bin_of: impl Fn(i64, u32) -> usize) -> Vec<u32> {
    let row_bins: Vec<usize> = times.iter().zip(places).map(|(&time, &place)| bin_of(time, place)).collect();
    let mut ends = vec![0_usize; bins + 1]; // of each bin once it is filled; until then where its next row goes
    for &bin in &row_bins {
        if let Some(count) = ends.get_mut(bin + 1) {
            *count += 1;
        }
    }
    let mut total = 0;
    for count in &mut ends {
        total += *count;
        *count = total;
    }
    let mut order = vec![0_u32; times.len()];
    for (row, &bin) in (0_u32..).zip(&row_bins) {
        let Some(next) = ends.get_mut(bin) else { continue };
        if let Some(slot) = order.get_mut(*next) {
            *slot = row;
        }
        *next += 1;
    }
    let time_of = |row: &u32| times.get(*row as usize).copied().unwrap_or_default();
    let mut start = 0;
    for &end in &ends {
        if let Some(rows) = order.get_mut(start..end) {
            if !rows.is_sorted_by_key(time_of) {
                rows.sort_by_key(time_of);
            }
        }
        start = end;
    }
    order
}

/// The id of each place. Short ids lie in the array itself, longer ones stay where they are.
fn named(ids: &StringViewArray, places: &[u32]) -> Result<ArrayRef, CopyFault> {
    let views = ids.views();
    let found = places.iter().map(|&place| views.get(place as usize).copied().unwrap_or_default());
    let array = StringViewArray::try_new(found.collect(), ids.data_buffers().to_vec(), None).map_err(refused)?;
    Ok(Arc::new(array))
}

fn refused(error: ArrowError) -> CopyFault {
    CopyFault::new(error.to_string())
}
