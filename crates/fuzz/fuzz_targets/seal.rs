#![no_main]
//! See `vermilion_fuzz::seal`.
libfuzzer_sys::fuzz_target!(|data: &[u8]| vermilion_fuzz::seal(data));
