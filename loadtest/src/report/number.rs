//! Formats numbers for people.

/// Groups digits: 28013 becomes 28,013.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Rounds a rate to about three digits.
pub(crate) fn count(rate: f64) -> String {
    match rate {
        r if r >= 1e6 => format!("{:.2} million", r / 1e6),
        r if r >= 10.0 => thousands(r as u64),
        r => format!("{r:.2}"),
    }
}

/// Formats a number as short as possible, for the ticks of a plot: 1k, 10M, 0.5.
pub(crate) fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        n if n >= 1e9 => (number / 1e9, "G"),
        n if n >= 1e6 => (number / 1e6, "M"),
        n if n >= 1e3 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let rounded = (scaled * 100.0).round() / 100.0;
    format!("{rounded}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!([count(2_345_678.0), count(12_345.6), count(0.5)], ["2.35 million", "12,345", "0.50"]);
        assert_eq!([short(1e3), short(2.5e6), short(0.1), short(0.0)], ["1k", "2.5M", "0.1", "0"]);
    }
}
