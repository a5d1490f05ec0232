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
        let mut keys = Vec::with_capacity(rows.num_rows());
        for ((&number, &time), row) in numbers.values().iter().zip(times.values()).zip(0_u32..) {
            let Some(&place) = self.place_of.get(&number) else {
                return Err(CopyFault::new(format!("a reading of sensor number {number}, which was not asked for")));
            };
            keys.push((time.div_euclid(DAY_US), place, time, row));
        }
        keys.sort(); // not the unstable one: what comes are runs, which it puts together
        Ok(keys.into_iter().map(|(_, place, _, row)| (row, place)).unzip())
    }
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
