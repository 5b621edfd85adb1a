//! Structural changes against a plain vector: what is read under the overlay, and what is left in the file,
//! wherever its maker dies.
#![no_main]

use arbitrary::Arbitrary;
use h5part_base::record::log::{Found, HEADER, LogHeader, Progress};
use h5part_base::record::{Fit, Overlay, Sealed};
use h5part_base::storage::StorageFile;
use h5part_fuzz::{MemoryFile, Plug, pattern};
use libfuzzer_sys::fuzz_target;
use std::io;
use std::sync::Arc;

#[derive(Debug, Arbitrary)]
enum Step {
    Write { at: u32, len: u16, seed: u8 },
    Read { at: u32, len: u16 },
    SetLen(u32),
}

#[derive(Debug, Arbitrary)]
struct Input {
    old_end: u32,
    /// Larger than the blocks in which it is gone through.
    large: bool,
    steps: Vec<Step>,
    discard: bool,
    stop: Option<(u8, bool)>,
}

/// All of it, to the acknowledgement. `model`: what the file holds then.
fn play(
    input: &Input,
    longest: usize,
    model: &mut Vec<u8>,
    base: &Arc<MemoryFile>,
    log: &Arc<MemoryFile>,
) -> io::Result<()> {
    let at = |at: u32| usize::try_from(at).expect("64 bits") % longest;
    let overlay = Overlay::new(Arc::<MemoryFile>::clone(base), Arc::<MemoryFile>::clone(log), None)?;
    for step in &input.steps {
        match *step {
            Step::Write { at: to, len, seed } => {
                let (to, bytes) = (at(to), pattern(seed, usize::from(len % 3000)));
                overlay.write_at(&bytes, to as u64)?;
                if !bytes.is_empty() {
                    model.resize(model.len().max(to + bytes.len()), 0);
                    model[to..to + bytes.len()].copy_from_slice(&bytes);
                }
            }
            Step::Read { at: from, len } => {
                let from = at(from).min(model.len());
                let mut bytes = vec![1; usize::from(len).min(model.len() - from)];
                overlay.read_at(&mut bytes, from as u64)?;
                assert!(bytes == model[from..from + bytes.len()], "{step:?} finds other bytes");
            }
            Step::SetLen(len) => {
                overlay.set_len(at(len) as u64)?;
                model.resize(at(len), 0);
            }
        }
        assert_eq!(overlay.identity()?.len, model.len() as u64);
    }
    if input.discard {
        return overlay.discard();
    }
    if let Some(sealed) = overlay.seal()? {
        sealed.apply(base.as_ref(), log.as_ref())?;
        sealed.spend(log.as_ref())?;
    }
    Ok(())
}

/// What the next one to come makes of it.
fn resolve(old_end: usize, base: Vec<u8>, log: Vec<u8>) -> Vec<u8> {
    let (base, log) = (MemoryFile::new(base, 2, &Plug::none()), MemoryFile::new(log, 3, &Plug::none()));
    let bytes = log.bytes();
    match LogHeader::decode(&bytes[..bytes.len().min(HEADER)]).expect("its own version") {
        Found::Nothing => {}
        Found::Damaged => panic!("a crash left a damaged log"),
        Found::Change(header) if header.progress == Progress::Begun => {
            assert_eq!(header.old_end, old_end as u64);
            if base.bytes().len() > old_end {
                base.set_len(header.old_end).expect("cuts");
            }
        }
        Found::Change(header) => {
            let sealed = Sealed::read(header, &log).expect("reads").expect("a crash left a damaged table");
            assert_eq!(sealed.fit(&base, &log).expect("reads"), Fit::Fits);
            sealed.apply(&base, &log).expect("applies");
        }
    }
    base.bytes()
}

fuzz_target!(|input: Input| {
    let longest = if input.large { 200_000 } else { 6000 };
    let old = pattern(0, usize::try_from(input.old_end).expect("64 bits") % longest);
    let plug = input.stop.map_or_else(Plug::none, |(call, torn)| Plug::at(call.into(), torn));
    let base = Arc::new(MemoryFile::new(old.clone(), 2, &plug));
    let log = Arc::new(MemoryFile::new(Vec::new(), 3, &plug));
    let mut new = old.clone();
    let outcome = play(&input, longest, &mut new, &base, &log);
    assert!(input.stop.is_some() || outcome.is_ok(), "{outcome:?}");
    let left = resolve(old.len(), base.bytes(), log.bytes());
    match outcome {
        Ok(()) if input.discard => assert!(left == old, "discarded, but changed"),
        Ok(()) => assert!(left == new, "acknowledged, but not what was written"),
        Err(_) => assert!(left == old || left == new && !input.discard, "neither old nor new"),
    }
});
