#![no_main]
//! See `vermilion_fuzz::cms`.
libfuzzer_sys::fuzz_target!(|data: &[u8]| vermilion_fuzz::cms(data));
