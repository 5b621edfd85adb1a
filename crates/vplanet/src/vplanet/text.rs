//! Bytes of vplanet's files as text: nothing in them is refused.

/// An input file: UTF-8, or else Latin-1, in which people write their names.
pub fn of_input(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect())
}

/// A log: what is not UTF-8 in it is left out, as `BigPlanet` does.
pub fn of_log(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().utf8_chunks().map(|chunk| chunk.valid()).collect())
}

/// The folder's or file's own name.
pub fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
