//! Bytes in and out: variable-length integers, zig-zag, fixed little-endian floats. Used by batches and snapshots.

/// What was wrong with bytes that should have been ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError(pub String);

impl WireError {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub type Wire<T> = Result<T, WireError>;

#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

pub fn put_f64s(out: &mut Vec<u8>, values: &[f64]) {
    values.iter().for_each(|value| put_f64(out, *value));
}

pub fn put_f32s(out: &mut Vec<u8>, values: &[f32]) {
    values.iter().for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
}

pub fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub fn put_option_i64(out: &mut Vec<u8>, value: Option<i64>) {
    put_bool(out, value.is_some());
    if let Some(value) = value {
        put_signed(out, value);
    }
}

/// Reads from the front of a slice; every step is checked, so that no input can make it run past the end.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub fn u8(&mut self) -> Wire<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(ended)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub fn varint(&mut self) -> Wire<u64> {
        let mut value = 0u64;
        let mut shift = 0u32;
        loop {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(WireError::new("a number does not fit into 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            if shift > 63 {
                return Err(WireError::new("a number does not fit into 64 bits"));
            }
        }
    }

    #[inline]
    pub fn signed(&mut self) -> Wire<i64> {
        let raw = self.varint()?;
        Ok(((raw >> 1) as i64) ^ -((raw & 1) as i64))
    }

    /// A count of things that take at least one byte each: never more than the bytes that are left.
    pub fn count(&mut self) -> Wire<usize> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.rest.len() => Ok(count),
            _ => Err(WireError::new(format!("a count of {count} in the {} bytes that are left", self.rest.len()))),
        }
    }

    pub fn take(&mut self, length: usize) -> Wire<&'a [u8]> {
        if length > self.rest.len() {
            return Err(ended());
        }
        let (head, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(head)
    }

    pub fn bytes(&mut self) -> Wire<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Wire<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::new("a text is not UTF-8"))
    }

    /// A number of ours is always finite.
    pub fn f64(&mut self) -> Wire<f64> {
        let value = self.f64_or_nan()?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(WireError::new(format!("a number is {value}")))
        }
    }

    /// The same where NaN says that there is none yet.
    pub fn f64_or_nan(&mut self) -> Wire<f64> {
        let mut raw = [0u8; 8];
        raw.copy_from_slice(self.take(8)?);
        let value = f64::from_bits(u64::from_le_bytes(raw));
        if value.is_infinite() {
            return Err(WireError::new(format!("a number is {value}")));
        }
        Ok(value)
    }

    pub fn f64s<const N: usize>(&mut self) -> Wire<[f64; N]> {
        let mut values = [0.0; N];
        for value in &mut values {
            *value = self.f64()?;
        }
        Ok(values)
    }

    pub fn f32s<const N: usize>(&mut self) -> Wire<[f32; N]> {
        let mut values = [0.0; N];
        for value in &mut values {
            *value = f32::from_bits(self.u32_le()?);
            if !value.is_finite() {
                return Err(WireError::new(format!("a number is {value}")));
            }
        }
        Ok(values)
    }

    pub fn u32_le(&mut self) -> Wire<u32> {
        let mut raw = [0u8; 4];
        raw.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(raw))
    }

    pub fn bool(&mut self) -> Wire<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(WireError::new(format!("a yes-or-no is {other}"))),
        }
    }

    pub fn option_i64(&mut self) -> Wire<Option<i64>> {
        Ok(if self.bool()? { Some(self.signed()?) } else { None })
    }
}

fn ended() -> WireError {
    WireError::new("the bytes end too early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::seeded::cases(512))]

        #[test]
        fn integers_come_back(value: i64, unsigned: u64) {
            let mut out = Vec::new();
            put_signed(&mut out, value);
            put_varint(&mut out, unsigned);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.signed(), Ok(value));
            prop_assert_eq!(reader.varint(), Ok(unsigned));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.varint().is_ok() && reader.text().is_ok() && reader.f64().is_ok() {}
        }
    }

    #[test]
    fn eleven_continuation_bytes_are_refused() {
        assert!(Reader::new(&[0xff; 11]).varint().is_err());
    }
}
