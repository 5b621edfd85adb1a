//! What the first bytes of a file say before the library opens it: whether it is HDF5, whether it is whole, and whether
//! another program is writing to it.

use h5part_base::error::ErrorKind;
use h5part_base::storage::StorageFile;

const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// Longest superblock up to its end-of-file address (version 1 with addresses of 32 bytes).
const LONGEST: usize = 28 + 3 * 32;
/// Marks from version 3 on: open for writing, open for SWMR writing.
const OPEN_FOR_WRITING: u8 = 0x01;
const OPEN_FOR_SWMR: u8 = 0x04;
/// Newest version that HDF5 defines.
const NEWEST: u8 = 3;
/// The first version whose marks HDF5 itself obeys.
const MARKS_COUNT: u8 = 3;

/// What a superblock says of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    version: u8,
    marks: u8,
    /// Bytes per address.
    address_bytes: u8,
    /// Bytes per length.
    length_bytes: u8,
    /// Byte where it lies. Addresses count from here, whatever base address is stored: HDF5 also reads a file whose
    /// user block was added or removed.
    at: u64,
    /// Where the file ends according to the superblock, counted from the start of the file.
    end: Option<u64>,
}

impl Superblock {
    /// Bytes per length, if so few that HDF5 writes what it cannot read again.
    #[must_use]
    pub fn few_length_bytes(&self) -> Option<u8> {
        (self.length_bytes < 4).then_some(self.length_bytes)
    }

    /// Searches for it at 0, and behind a user block of 512, 1024, ... bytes. `None`: not found.
    ///
    /// # Errors
    /// As pread(2).
    pub fn find(file: &dyn StorageFile) -> std::io::Result<Option<Self>> {
        let len = file.identity()?.len;
        let mut at = 0u64;
        while at.saturating_add(SIGNATURE.len() as u64) <= len {
            let mut head = [0; LONGEST];
            let here = usize::try_from((len - at).min(LONGEST as u64)).unwrap_or(LONGEST);
            file.read_at(&mut head[..here], at)?;
            if head.starts_with(&SIGNATURE) {
                return Ok(Some(Self::decode(&head, at)));
            }
            at = if at == 0 { 512 } else { at.saturating_mul(2) };
        }
        Ok(None)
    }

    fn decode(head: &[u8; LONGEST], at: u64) -> Self {
        let version = head[8];
        let (sizes_at, addresses_at) = match version {
            0 => (13, 24),
            1 => (13, 28),
            _ => (9, 12),
        };
        let (address_bytes, length_bytes) = (head[sizes_at], head[sizes_at + 1]);
        // HDF5 writes marks into version 2 too, but obeys them only from version 3 on. Before, a writer keeps its lock.
        let marks = if version >= 3 { head[11] & (OPEN_FOR_WRITING | OPEN_FOR_SWMR) } else { 0 };
        // Base, superblock extension or free space, end of file.
        let address = |k: usize| {
            let n = usize::from(address_bytes);
            let bytes = head.get(addresses_at + k * n..addresses_at + (k + 1) * n)?;
            let (low, high) = bytes.split_at(n.min(8));
            let mut word = [0; 8];
            word[..low.len()].copy_from_slice(low);
            high.iter().all(|&b| b == 0).then_some(u64::from_le_bytes(word))
        };
        let known = version <= NEWEST && [2, 4, 8, 16, 32].contains(&address_bytes);
        let end = || address(2)?.checked_sub(address(0)?)?.checked_add(at);
        Self { version, marks, address_bytes, length_bytes, at, end: known.then(end).flatten() }
    }

    /// Where the file ends according to the superblock: the end of allocations, counted from the start of the file.
    #[must_use]
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Whether a writing program has marked the file and not removed the mark.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.marks != 0
    }

    /// Refuses a file that another program has marked as open for writing.
    ///
    /// # Errors
    /// [`ErrorKind::OpenForWriting`].
    pub fn refuse_marks(&self) -> Result<(), ErrorKind> {
        if self.is_marked() {
            return Err(ErrorKind::OpenForWriting { by: None, swmr: self.marks & OPEN_FOR_SWMR != 0 });
        }
        Ok(())
    }

    /// Checks that addresses and lengths of this file can express a file of `len` bytes with an object of `longest`
    /// bytes.
    ///
    /// # Errors
    /// [`ErrorKind::FormatLimit`].
    pub fn can_address(&self, len: u64, longest: u64) -> Result<(), ErrorKind> {
        // All bits set is the undefined address.
        let most = |bytes: u8| if bytes < 8 { (1u64 << (8 * u32::from(bytes))) - 2 } else { u64::MAX };
        let needed = len.saturating_sub(self.at);
        if needed > most(self.address_bytes) || longest > most(self.length_bytes) {
            let bytes = if needed > most(self.address_bytes) { self.address_bytes } else { self.length_bytes };
            let (needed, most) = (needed.max(longest), most(bytes));
            let text = format!("its addresses have {bytes} bytes and end at {most}; this needs {needed}");
            return Err(ErrorKind::FormatLimit(text));
        }
        Ok(())
    }
}

/// Checks signature, version, marks and length.
///
/// # Errors
/// [`ErrorKind::NotHdf5`], [`ErrorKind::OpenForWriting`] where HDF5 itself refuses to read, [`ErrorKind::Cut`], I/O errors.
pub fn check(file: &dyn StorageFile) -> Result<Superblock, ErrorKind> {
    let len = file.identity()?.len;
    if len == 0 {
        return Err(ErrorKind::NotHdf5("the file is empty".to_owned()));
    }
    let Some(found) = Superblock::find(file)? else {
        return Err(ErrorKind::NotHdf5("it has no HDF5 signature".to_owned()));
    };
    if found.version > NEWEST {
        return Err(ErrorKind::NotHdf5(format!("its superblock has version {}, which is not known", found.version)));
    }
    if found.version >= MARKS_COUNT {
        found.refuse_marks()?;
    }
    match found.end {
        Some(end) if end > len => Err(ErrorKind::Cut { expected: end, found: len }),
        _ => Ok(found),
    }
}

/// Where the file ends according to the superblock. `None`: it does not say.
///
/// # Errors
/// As pread(2).
pub fn stored_end(file: &dyn StorageFile) -> std::io::Result<Option<u64>> {
    Ok(Superblock::find(file)?.and_then(|found| found.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: u8, sizes: (u8, u8), marks: u8, base: u64, end: u64) -> [u8; LONGEST] {
        let mut head = [0; LONGEST];
        head[..8].copy_from_slice(&SIGNATURE);
        head[8] = version;
        let (sizes_at, addresses_at) = if version < 2 { (13, 24 + 4 * usize::from(version)) } else { (9, 12) };
        (head[sizes_at], head[sizes_at + 1]) = sizes;
        if version >= 2 {
            head[11] = marks;
        }
        let n = usize::from(sizes.0);
        for (k, address) in [(0, base), (2, end)] {
            head[addresses_at + k * n..addresses_at + k * n + n.min(8)]
                .copy_from_slice(&address.to_le_bytes()[..n.min(8)]);
        }
        head
    }

    #[test]
    fn the_end_counts_from_where_the_superblock_lies() {
        for version in 0..=3 {
            for n in [2, 4, 8, 16, 32] {
                let end = |base, end, at| Superblock::decode(&head(version, (n, 8), 0, base, end), at).end();
                assert_eq!(end(0, 2048, 0), Some(2048), "version {version}, {n} bytes");
                assert_eq!(end(512, 2560, 512), Some(2560), "with a user block");
                assert_eq!(end(512, 2560, 0), Some(2048), "whose user block was taken away");
                assert_eq!(end(0, 2048, 1024), Some(3072), "which was given one");
                assert_eq!(end(512, 100, 0), None, "nonsense");
            }
        }
        assert_eq!(Superblock::decode(&head(4, (8, 8), 0, 0, 2048), 0).end(), None);
        assert_eq!(Superblock::decode(&head(2, (0, 0), 0, 0, 0), 0).end(), None);
    }

    #[test]
    fn marks_count_from_version_3_on() {
        let refused = |version, marks| Superblock::decode(&head(version, (8, 8), marks, 0, 0), 0).refuse_marks();
        assert!(matches!(refused(3, 1), Err(ErrorKind::OpenForWriting { by: None, swmr: false })));
        assert!(matches!(refused(3, 5), Err(ErrorKind::OpenForWriting { by: None, swmr: true })));
        assert!(refused(3, 2).is_ok() && refused(3, 0).is_ok());
        assert!((0..=2).all(|version| refused(version, 5).is_ok()));
    }

    #[test]
    fn what_addresses_and_lengths_can_say_is_bounded() {
        let fits = |sizes, at, len, longest| {
            Superblock::decode(&head(0, sizes, 0, 0, 0), at).can_address(len, longest).is_ok()
        };
        assert!(fits((2, 8), 0, 65534, 1 << 40) && !fits((2, 8), 0, 65535, 0));
        assert!(fits((2, 8), 512, 65534 + 512, 0));
        assert!(!fits((8, 2), 0, 100, 65535) && fits((8, 2), 0, 1 << 40, 65534));
        assert!(fits((8, 8), 0, u64::MAX, u64::MAX) && !fits((4, 4), 0, 1 << 32, 0));
    }
}
