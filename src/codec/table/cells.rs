//! Cuts lines of a table into cells, and reads and writes numbers in the style of a column.

/// The most digits of a number; this many fit into 64 bits.
const MAX_DIGITS: usize = 18;

/// How the numbers of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Digits after the point, 0..=9. A cell stands for an integer in units of the last of these digits.
    pub decimals: u8,
    /// The least number of digits before the point, 1..=15; shorter numbers are padded with zeros.
    pub digits: u8,
    /// Whether zeros at the end of the fraction are left out, and the point too if no digit follows it.
    pub trim: bool,
}

/// Cuts a line at its delimiters into `cells`. A cell that starts with a double quote ends at the next quote
/// that is followed by a delimiter or the end of the line; where there is none, the quote is a character like
/// any other.
///
/// The cells, joined by delimiters, are always the line again.
pub fn split<'a>(line: &'a [u8], delimiter: u8, cells: &mut Vec<&'a [u8]>) {
    cells.clear();
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let quoted = rest.first() == Some(&b'"');
        let closed = quoted.then(|| {
            (1..rest.len()).find(|&i| rest[i] == b'"' && rest.get(i + 1).is_none_or(|&b| b == delimiter))
        });
        let end = match closed.flatten() {
            Some(i) => i + 1,
            None => rest.iter().position(|&b| b == delimiter).unwrap_or(rest.len()),
        };
        cells.push(&rest[..end]);
        if end == rest.len() {
            return;
        }
        at += end + 1;
    }
}

/// The number that a cell stands for, in units of the style's last digit; `None` unless [`print()`] would
/// write exactly this cell.
pub fn parse(cell: &[u8], style: Style) -> Option<i64> {
    let (negative, body) = match cell.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, cell),
    };
    let point = body.iter().position(|&b| b == b'.');
    let (whole, fraction) = body.split_at(point.unwrap_or(body.len()));
    let fraction = fraction.get(1..).unwrap_or_default();
    let decimals = usize::from(style.decimals);
    if whole.is_empty() || fraction.len() > decimals || whole.len() + decimals > MAX_DIGITS {
        return None;
    }
    let mut value = 0i64;
    for &b in whole.iter().chain(fraction) {
        if !b.is_ascii_digit() {
            return None;
        }
        value = 10 * value + i64::from(b - b'0');
    }
    (fraction.len()..decimals).for_each(|_| value *= 10);
    let value = if negative { -value } else { value };
    let mut again = Vec::with_capacity(cell.len());
    print(value, style, &mut again);
    (again == cell).then_some(value)
}

/// Appends a number, given in units of the style's last digit, as a cell of this style.
pub fn print(value: i64, style: Style, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let unit = 10u64.pow(style.decimals.into());
    let (whole, mut fraction) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    push_digits(whole, style.digits.into(), out);
    let mut decimals = usize::from(style.decimals);
    while style.trim && decimals > 0 && fraction % 10 == 0 {
        fraction /= 10;
        decimals -= 1;
    }
    if decimals > 0 {
        out.push(b'.');
        push_digits(fraction, decimals, out);
    }
}

fn push_digits(mut number: u64, least: usize, out: &mut Vec<u8>) {
    let start = out.len();
    while number > 0 || out.len() - start < least {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
    }
    out[start..].reverse();
}

/// The style that these cells are likely to share, if all of them look like numbers. [`parse`] must confirm
/// it cell by cell.
pub fn style_of<'a>(cells: impl Iterator<Item = &'a [u8]>) -> Option<Style> {
    let (mut decimals, mut digits) = (0, usize::MAX);
    let mut fractions = usize::MAX;
    for cell in cells {
        let body = cell.strip_prefix(b"-").unwrap_or(cell);
        let whole = body.iter().take_while(|b| b.is_ascii_digit()).count();
        let fraction = match body.get(whole) {
            Some(b'.') => body.len() - whole - 1,
            Some(_) => return None,
            None => 0,
        };
        if whole == 0 || !body[body.len() - fraction..].iter().all(u8::is_ascii_digit) {
            return None;
        }
        decimals = decimals.max(fraction);
        fractions = fractions.min(fraction);
        digits = digits.min(whole);
    }
    if digits == usize::MAX || decimals > 9 || digits > 15 {
        return None;
    }
    Some(Style { decimals: decimals as u8, digits: digits as u8, trim: fractions < decimals })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(line: &str) -> Vec<String> {
        let mut cells = Vec::new();
        split(line.as_bytes(), b',', &mut cells);
        cells.iter().map(|c| String::from_utf8(c.to_vec()).unwrap()).collect()
    }

    #[test]
    fn lines_are_cut_and_join_again() {
        assert_eq!(cells("a,b,"), ["a", "b", ""]);
        assert_eq!(cells("\"a,b\",c"), ["\"a,b\"", "c"]);
        assert_eq!(cells("\"a,\"\"b\"\",\",\"c"), ["\"a,\"\"b\"\"", "\"", "\"c"]);
        assert_eq!(cells("\""), ["\""]);
        assert_eq!(cells(""), [""]);
        for line in ["", ",", "\",\",\"", "a\"b\",\"", "\"\",\"\"\"\",x"] {
            assert_eq!(cells(line).join(","), line);
        }
    }

    #[test]
    fn numbers_come_back_or_are_none() {
        let style = |decimals, digits, trim| Style { decimals, digits, trim };
        let good = [
            ("55", style(1, 1, true), 550),
            ("61.5", style(1, 1, true), 615),
            ("-0.03", style(2, 1, false), -3),
            ("007", style(0, 3, false), 7),
            ("1234", style(0, 3, false), 1234),
            ("-5", style(0, 1, false), -5),
        ];
        for (text, style, value) in good {
            assert_eq!(parse(text.as_bytes(), style), Some(value), "{text}");
        }
        for text in ["", "-", ".", "5.", ".5", "-0", "05", "+5", "1e3", "5.50", "1234567890123456789", "٣"] {
            assert_eq!(parse(text.as_bytes(), style(2, 1, true)), None, "{text}");
        }
        let mut out = Vec::new();
        print(i64::MIN, style(9, 15, true), &mut out);
        assert_eq!(out, b"-000009223372036.854775808");
    }

    #[test]
    fn styles_are_found() {
        let of = |cells: &[&str]| style_of(cells.iter().map(|c| c.as_bytes()));
        assert_eq!(of(&["55", "61.5"]), Some(Style { decimals: 1, digits: 2, trim: true }));
        assert_eq!(of(&["0.10", "-3.25"]), Some(Style { decimals: 2, digits: 1, trim: false }));
        assert_eq!(of(&["01", "22"]), Some(Style { decimals: 0, digits: 2, trim: false }));
        assert_eq!(of(&["1", "x"]), None);
        assert_eq!(of(&[]), None);
    }
}
