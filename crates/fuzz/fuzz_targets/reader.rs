#![no_main]
//! See `vermilion_fuzz::reader`.
libfuzzer_sys::fuzz_target!(|data: &[u8]| vermilion_fuzz::reader(data));
