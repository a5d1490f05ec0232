//! A sensor's newest reading by event time: what a person sees as its present value.

use crate::number::{Datum, SCALE_MAX};
use crate::wire::{put_bool, put_bytes, put_signed, put_varint, Reader, Wire, WireError};

/// The text of a reading, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    Decimal { mantissa: i64, scale: u8 },
    Text(Box<str>),
    Bits(u64),
}

impl Kept {
    pub fn of(datum: &Datum<'_>) -> Self {
        match *datum {
            Datum::Decimal { mantissa, scale } => Self::Decimal { mantissa, scale },
            Datum::Text(text) => Self::Text(text.into()),
            Datum::Bits(bits) => Self::Bits(bits),
        }
    }

    pub fn datum(&self) -> Datum<'_> {
        match self {
            Self::Decimal { mantissa, scale } => Datum::Decimal { mantissa: *mantissa, scale: *scale },
            Self::Text(text) => Datum::Text(text),
            Self::Bits(bits) => Datum::Bits(*bits),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Newest {
    pub tracked_at_us: i64,
    pub data: Kept,
    pub score: Option<f32>,
    pub flags: u16,
}

impl Newest {
    pub fn save(&self, out: &mut Vec<u8>) {
        put_signed(out, self.tracked_at_us);
        match &self.data {
            Kept::Decimal { mantissa, scale } => {
                out.push(*scale);
                put_signed(out, *mantissa);
            }
            Kept::Text(text) => {
                out.push(u8::MAX);
                put_bytes(out, text.as_bytes());
            }
            Kept::Bits(_) => {
                out.push(u8::MAX);
                put_bytes(out, self.data.datum().text().as_bytes());
            }
        }
        put_bool(out, self.score.is_some());
        if let Some(score) = self.score {
            out.extend_from_slice(&score.to_bits().to_le_bytes());
        }
        put_varint(out, u64::from(self.flags));
    }

    pub fn load(reader: &mut Reader<'_>) -> Wire<Self> {
        Ok(Self {
            tracked_at_us: reader.signed()?,
            data: match reader.u8()? {
                u8::MAX => Kept::Text(reader.text()?.into()),
                scale if scale <= SCALE_MAX => Kept::Decimal { scale, mantissa: reader.signed()? },
                other => return Err(WireError::new(format!("a value of kind {other}"))),
            },
            score: if reader.bool()? { Some(f32::from_bits(reader.u32_le()?)) } else { None },
            flags: u16::try_from(reader.varint()?).map_err(|_| WireError::new("flags do not fit"))?,
        })
    }
}
