#![no_main]

#[expect(dead_code, reason = "the targets of the others")]
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::state(data));
