//! Bundles: groups of small datasets that are written at once, under one checksum.

mod read;
mod write;

pub use read::Named;

use crate::h5::Failed;
use crc_fast::{CrcAlgorithm, Digest};
use h5part_base::error::ErrorKind;

/// Attribute of a bundle's group: `members:32 | crc32c:32`.
pub(super) const CHECKSUM: &str = "h5part_checksum";

/// A group of small datasets, such as everything that one trial produced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// Its datasets, in any order.
    pub members: Vec<Member>,
}

/// One dataset of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Name of the dataset in its group.
    pub name: String,
    /// Shape and values.
    pub content: Content,
    /// Attributes, each a UTF-8 text of any length.
    pub attributes: Vec<(String, String)>,
}

/// Values of a member; the last axis varies fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// UTF-8 texts of any length. They must not contain NUL.
    Texts {
        /// Extent of each axis.
        shape: Vec<u64>,
        /// As many values as the shape says.
        values: Vec<String>,
    },
    /// Values of type f64. Each chunk has a Fletcher32 checksum.
    Floats {
        /// Extent of each axis.
        shape: Vec<u64>,
        /// As many values as the shape says.
        values: Vec<f64>,
    },
}

/// Identifies the content of a bundle: the number of members, and a checksum over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleSum(pub u64);

impl BundleSum {
    /// Number of members.
    #[must_use]
    pub fn members(self) -> u64 {
        self.0 >> 32
    }
}

impl Content {
    /// Extent of each axis.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        match self {
            Self::Texts { shape, .. } | Self::Floats { shape, .. } => shape,
        }
    }

    /// Number of values present.
    fn len(&self) -> usize {
        match self {
            Self::Texts { values, .. } => values.len(),
            Self::Floats { values, .. } => values.len(),
        }
    }
}

impl Bundle {
    /// Refuses what HDF5 could not store.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`], which names the member.
    pub fn check(&self) -> Result<(), Failed> {
        let mut names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        names.sort_unstable();
        for member in &self.members {
            let bad = |why: &str| Err(ErrorKind::BadRequest(format!("dataset '{}': {why}", member.name)).into());
            let count = member.content.shape().iter().try_fold(1u64, |n, &k| n.checked_mul(k));
            if member.name.is_empty() || member.name == "." || member.name.contains(['/', '\0']) {
                return bad("this cannot be the name of a dataset");
            }
            if count != Some(member.content.len() as u64) {
                return bad("its number of values does not match its shape");
            }
            let texts = member.attributes.iter().flat_map(|(name, value)| [name, value]);
            let values: &[String] = if let Content::Texts { values, .. } = &member.content { values } else { &[] };
            if texts.chain(values).any(|text| text.contains('\0')) {
                return bad("a text in it contains NUL");
            }
        }
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(ErrorKind::BadRequest(format!("two datasets have the name '{}'", pair[0])).into()),
            None => Ok(()),
        }
    }

    /// Bytes of its values: 8 per number, and the UTF-8 length of each text.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let of = |member: &Member| match &member.content {
            Content::Texts { values, .. } => values.iter().map(|text| text.len() as u64).sum(),
            Content::Floats { values, .. } => values.len() as u64 * 8,
        };
        self.members.iter().map(of).sum()
    }

    /// The checksum over the members, sorted by name, so their order here does not matter.
    #[must_use]
    pub fn sum(&self) -> BundleSum {
        let mut members: Vec<&Member> = self.members.iter().collect();
        members.sort_unstable_by_key(|member| &member.name);
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        for member in members {
            member.digest(&mut digest);
        }
        // A CRC-32 fills 32 bits.
        BundleSum((self.members.len() as u64) << 32 | digest.finalize() & 0xFFFF_FFFF)
    }
}

impl Member {
    fn digest(&self, digest: &mut Digest) {
        text(digest, &self.name);
        let shape = self.content.shape();
        let kind = u8::from(matches!(self.content, Content::Floats { .. }));
        digest.update(&[kind, shape.len().to_le_bytes()[0]]);
        for extent in shape {
            digest.update(&extent.to_le_bytes());
        }
        match &self.content {
            Content::Texts { values, .. } => values.iter().for_each(|value| text(digest, value)),
            Content::Floats { values, .. } => digest.update(bytemuck::cast_slice(values)),
        }
        let mut attributes: Vec<_> = self.attributes.iter().collect();
        attributes.sort_unstable();
        digest.update(&attributes.len().to_le_bytes());
        for (name, value) in attributes {
            text(digest, name);
            text(digest, value);
        }
    }
}

/// Digests a text after its length, so that no two lists of texts give the same bytes.
fn text(digest: &mut Digest, text: &str) {
    digest.update(&text.len().to_le_bytes());
    digest.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, values: &[&str], unit: &str) -> Member {
        let values: Vec<String> = values.iter().map(|&v| v.to_owned()).collect();
        let content = Content::Texts { shape: vec![values.len() as u64], values };
        Member { name: name.to_owned(), content, attributes: vec![("Units".to_owned(), unit.to_owned())] }
    }

    fn floats(name: &str, shape: &[u64], values: &[f64]) -> Member {
        let content = Content::Floats { shape: shape.to_vec(), values: values.to_vec() };
        Member { name: name.to_owned(), content, attributes: Vec::new() }
    }

    #[test]
    fn every_part_of_a_bundle_is_in_its_checksum() {
        let base = vec![member("a", &["1", "23"], "kg"), floats("b", &[1, 2], &[0.0, 1.0])];
        let mut others = vec![base.clone()];
        let mut change = |k: usize, other: Member| {
            let mut members = base.clone();
            members[k] = other;
            others.push(members);
        };
        change(0, member("a", &["12", "3"], "kg"));
        change(0, member("a", &["1", "23"], "g"));
        change(0, member("c", &["1", "23"], "kg"));
        change(1, floats("b", &[2, 1], &[0.0, 1.0]));
        change(1, floats("b", &[1, 2], &[-0.0, 1.0]));
        change(1, Member { attributes: vec![(String::new(), String::new())], ..floats("b", &[1, 2], &[0.0, 1.0]) });
        others.push(base[..1].to_vec());
        let sums: Vec<_> = others.into_iter().map(|members| Bundle { members }.sum()).collect();
        for (k, sum) in sums.iter().enumerate() {
            assert!(!sums[..k].contains(sum), "{k}");
        }
        let turned = Bundle { members: base.iter().rev().cloned().collect() };
        assert_eq!(turned.sum(), sums[0]);
    }

    #[test]
    fn what_hdf5_cannot_store_is_refused() {
        let check = |members: Vec<Member>| Bundle { members }.check().map_err(|e| e.to_string());
        assert_eq!(check(vec![member("a", &["x"], ""), member("b", &[], "")]), Ok(()));
        for (members, what) in [
            (vec![member("a/b", &["x"], "")], "cannot be the name"),
            (vec![member("", &["x"], "")], "cannot be the name"),
            (vec![member("a", &["x\0y"], "")], "NUL"),
            (vec![member("a", &["x"], "\0")], "NUL"),
            (vec![member("a", &["x"], ""), member("a", &["x"], "")], "two datasets"),
            (vec![floats("f", &[2, 2], &[1.0])], "does not match its shape"),
            (vec![floats("f", &[u64::MAX, u64::MAX], &[1.0])], "does not match its shape"),
        ] {
            let said = check(members).expect_err(what);
            assert!(said.contains(what), "{said}");
        }
    }
}
