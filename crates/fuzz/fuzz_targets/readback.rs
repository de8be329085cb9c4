#![no_main]
//! See `vermilion_fuzz::readback`.
libfuzzer_sys::fuzz_target!(|data: &[u8]| vermilion_fuzz::readback(data));
