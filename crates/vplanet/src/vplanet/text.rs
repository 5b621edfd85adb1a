//! Converts bytes of vplanet's files to text. All bytes are accepted.

/// An input file: UTF-8, or else Latin-1, which people use for their names.
pub fn of_input(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect())
}

/// A log. Bytes that are not UTF-8 are dropped, as in `BigPlanet`.
pub fn of_log(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().utf8_chunks().map(|chunk| chunk.valid()).collect())
}

/// The last part of a path.
pub fn name_of(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
