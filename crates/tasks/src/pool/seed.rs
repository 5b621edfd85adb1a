//! Seeds of tasks.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The seed of a task: output number `index` (from 0) of the generator `SplitMix64`, started at `run_seed`. It depends
/// on nothing else: not on the mode, the number of workers or the attempt. All tasks of one run have different seeds.
/// This function will not change.
///
/// A task that starts a run of its own uses its own seed as the seed of that run.
#[must_use]
pub fn task_seed(run_seed: u64, index: u64) -> u64 {
    let z = run_seed.wrapping_add(GOLDEN.wrapping_mul(index.wrapping_add(1)));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference outputs of `SplitMix64` for the seed 1234567 (Vigna's splitmix64.c).
    #[test]
    fn seeds_are_those_of_splitmix64() {
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!([0, 1, 2, 3, 4].map(|index| task_seed(1_234_567, index)), expected);
    }
}
