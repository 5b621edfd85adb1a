//! Parses the comment line of extended XYZ: `key=value` pairs. Pure.

use std::collections::BTreeMap;

/// Pairs of a comment line, with keys in lower case. Blanks around `=` are ignored. A value is a word, a text in
/// quotation marks, or a list in brackets or braces. Within quotation marks `\` escapes the next character. Words
/// without `=` are not pairs. If a key occurs twice, the last value counts.
///
/// `None`: a quotation mark or bracket is not closed.
pub(super) fn pairs(line: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (key, after) = token(rest, true)?;
        let Some(after) = after.trim_start().strip_prefix('=') else {
            rest = after.trim_start();
            continue;
        };
        let (value, after) = token(after.trim_start(), false)?;
        found.insert(key.to_lowercase(), value);
        rest = after.trim_start();
    }
    Some(found)
}

/// The first token, and the rest. It consumes at least one character.
fn token(text: &str, is_key: bool) -> Option<(String, &str)> {
    match text.chars().next() {
        Some(mark @ ('"' | '\'')) => quoted(&text[1..], mark),
        Some(open @ ('{' | '[')) => bracketed(text, open),
        _ => {
            let ends = |c: char| c.is_whitespace() || (is_key && c == '=');
            let end = text.find(ends).unwrap_or(text.len());
            // A line that begins with `=` has no key.
            let end = if end == 0 && is_key { text.chars().next().map_or(0, char::len_utf8) } else { end };
            Some((text[..end].to_owned(), &text[end..]))
        }
    }
}

fn quoted(text: &str, mark: char) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            c if c == mark => return Some((value, &text[at + c.len_utf8()..])),
            c => value.push(c),
        }
    }
    None
}

/// A list with its brackets.
fn bracketed(text: &str, open: char) -> Option<(String, &str)> {
    let close = if open == '{' { '}' } else { ']' };
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some((text[..=at].to_owned(), &text[at + 1..]));
            }
        }
    }
    None
}

/// The items of a list: words separated by blanks or commas, in one pair of brackets or none. `None`: the list contains
/// lists.
pub(super) fn items(value: &str) -> Option<Vec<&str>> {
    let value = value.trim();
    let inner = value.strip_prefix('[').and_then(|v| v.strip_suffix(']'));
    let inner = inner.or_else(|| value.strip_prefix('{').and_then(|v| v.strip_suffix('}'))).unwrap_or(value);
    let is_flat = !inner.contains(['[', ']', '{', '}']);
    is_flat.then(|| inner.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ASE 3.26 reads them, except for letter case.
    #[test]
    fn pairs_are_what_ase_reads() {
        for (line, expected) in [
            ("energy = -3.5 a=b", vec![("a", "b"), ("energy", "-3.5")]),
            (r#""my key"=3 x="a \"b\" c""#, vec![("my key", "3"), ("x", r#"a "b" c"#)]),
            ("a={1 2 3} b=[1, 2]", vec![("a", "{1 2 3}"), ("b", "[1, 2]")]),
            ("flag energy=-1 energy=-2", vec![("energy", "-2")]),
            ("Energy=1 a= 2 c =3 b", vec![("a", "2"), ("c", "3"), ("energy", "1")]),
            (r#"s="a=b c" t='x y' u=v=w"#, vec![("s", "a=b c"), ("t", "x y"), ("u", "v=w")]),
            ("c=[[1,2],[3,4]] d=", vec![("c", "[[1,2],[3,4]]"), ("d", "")]),
            ("= 1 é=ü", vec![("é", "ü")]),
        ] {
            let found = pairs(line).expect(line);
            let found: Vec<(&str, &str)> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{line}");
        }
        for line in ["a=\"b", "a='b", "a=[1 2", "a={1 {2}", r#"a="b\"#, "\"key"] {
            assert_eq!(pairs(line), None, "{line}");
        }
    }

    #[test]
    fn lists_are_flat() {
        for list in ["1 2 3", "[1, 2,3]", "{1 2 3}", " [1,2 3 ] "] {
            assert_eq!(items(list), Some(vec!["1", "2", "3"]), "{list}");
        }
        assert_eq!(items("[[1,2],[3,4]]"), None);
        assert_eq!(items(""), Some(Vec::new()));
    }
}
