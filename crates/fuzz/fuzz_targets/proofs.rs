#![no_main]
//! See `vermilion_fuzz::proofs`.
libfuzzer_sys::fuzz_target!(|data: &[u8]| vermilion_fuzz::proofs(data));
