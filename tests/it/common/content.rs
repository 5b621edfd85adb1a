//! Everything that a stock HDF5 library sees in a file, for comparison.

use hdf5::types::{FixedAscii, FixedUnicode, FloatSize, IntSize, TypeDescriptor, VarLenArray, VarLenUnicode};
use hdf5::{Container, Group, LocationType, ObjectReference1, ReferencedObject};
use std::collections::BTreeMap;
use std::path::Path;

/// Types, shapes and values of all datasets and attributes, by path.
pub type Content = BTreeMap<String, (String, Vec<u8>)>;

/// What the stock library reads.
pub fn content(path: &Path) -> hdf5::Result<Content> {
    let mut content = Content::new();
    walk(&*hdf5::File::open(path)?, "", &mut content)?;
    Ok(content)
}

/// The names under which two contents differ.
pub fn difference(a: &Content, b: &Content) -> Vec<String> {
    let of = |a: &Content, b: &Content| {
        a.iter().filter(|(k, v)| b.get(*k) != Some(v)).map(|(k, _)| k.clone()).collect::<Vec<_>>()
    };
    let mut names = [of(a, b), of(b, a)].concat();
    names.sort();
    names.dedup();
    names
}

fn walk(group: &Group, path: &str, out: &mut Content) -> hdf5::Result<()> {
    out.insert(format!("{path}/"), (String::new(), Vec::new()));
    for name in group.attr_names()? {
        out.insert(format!("{path}/@{name}"), value(&*group.attr(&name)?)?);
    }
    for name in group.member_names()? {
        let below = format!("{path}/{name}");
        if group.loc_type_by_name(&name)? == LocationType::Group {
            walk(&group.group(&name)?, &below, out)?;
            continue;
        }
        let dataset = group.dataset(&name)?;
        for name in dataset.attr_names()? {
            out.insert(format!("{below}/@{name}"), value(&*dataset.attr(&name)?)?);
        }
        out.insert(below, value(&dataset)?);
    }
    Ok(())
}

fn value(of: &Container) -> hdf5::Result<(String, Vec<u8>)> {
    fn raw<T: hdf5::H5Type + bytemuck::NoUninit>(of: &Container) -> hdf5::Result<Vec<u8>> {
        Ok(bytemuck::cast_slice(&of.read_raw::<T>()?).to_vec())
    }
    let descriptor = of.dtype()?.to_descriptor()?;
    let bytes = match &descriptor {
        TypeDescriptor::Float(FloatSize::U8) => raw::<f64>(of)?,
        TypeDescriptor::Integer(IntSize::U8) => raw::<i64>(of)?,
        TypeDescriptor::Unsigned(IntSize::U8) => raw::<u64>(of)?,
        TypeDescriptor::Boolean => raw::<bool>(of)?,
        TypeDescriptor::VarLenUnicode => {
            of.read_raw::<VarLenUnicode>()?.iter().map(|text| format!("{text};")).collect::<String>().into_bytes()
        }
        TypeDescriptor::Float(FloatSize::U4) => raw::<f32>(of)?,
        TypeDescriptor::FixedAscii(size) if *size <= 128 => {
            let texts = of.as_reader().conversion(hdf5::Conversion::Soft).read_raw::<FixedAscii<128>>()?;
            texts.iter().map(|text| format!("{text};")).collect::<String>().into_bytes()
        }
        TypeDescriptor::VarLenArray(element) if matches!(**element, TypeDescriptor::Reference(_)) => {
            let lists = of.read_raw::<VarLenArray<ObjectReference1>>()?;
            let name = |one: &ObjectReference1| match of.dereference(one)? {
                ReferencedObject::Dataset(dataset) => Ok(format!("{};", dataset.name())),
                _ => Err(hdf5::Error::from("a reference to something else than a dataset")),
            };
            let names: hdf5::Result<Vec<_>> = lists.iter().flat_map(|list| list.iter().map(name)).collect();
            names?.concat().into_bytes()
        }
        TypeDescriptor::FixedUnicode(size) if *size <= 1024 => {
            let texts = of.as_reader().conversion(hdf5::Conversion::Soft).read_raw::<FixedUnicode<1024>>()?;
            texts.iter().map(|text| format!("{text};")).collect::<String>().into_bytes()
        }
        other => return Err(format!("{other} is not compared").into()),
    };
    Ok((format!("{descriptor} {:?}", of.shape()), bytes))
}
