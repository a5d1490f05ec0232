//! UUIDs in 16 bytes, for ids that are spelled canonically.

/// The 16 bytes of a UUID in its canonical spelling (lower case, hyphens), so that the very text comes back.
pub fn to_bytes(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut raw = [0u8; 16];
    let mut nibbles = 0usize;
    for (position, byte) in text.iter().enumerate() {
        if matches!(position, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let nibble = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        let slot = raw.get_mut(nibbles / 2)?;
        *slot = (*slot << 4) | nibble;
        nibbles += 1;
    }
    Some(raw)
}

pub fn write(raw: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (position, byte) in raw.iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::seeded::cases(256))]

        #[test]
        fn the_very_text_comes_back_or_it_is_none(text in "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-gA-F-]{36}") {
            if let Some(raw) = to_bytes(&text) {
                let mut back = String::new();
                write(&raw, &mut back);
                prop_assert_eq!(back, text);
            } else {
                prop_assert!(!text.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c))
                    || text.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>() != [8, 13, 18, 23]);
            }
        }
    }
}
