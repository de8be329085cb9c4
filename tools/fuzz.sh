#!/usr/bin/env bash
# The fuzz targets of the compiled core, one after the other: `tools/fuzz.sh MINUTES` for so long together. Where a tool is missing this says so.
# libFuzzer comes with a crate, and what it watches is put in by the compiler, whichever it is; `cargo fuzz` works on the same folder, but is not needed.
# Inputs that lead somewhere new stay in crates/fuzz/corpus, from one run to the next; one that a target fails over, in crates/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
targets=(reader readback cms proofs seal)
each=$((60 * 10#$1 / ${#targets[@]} + 1)) # seconds; 0 would be for ever
lacking=()
for program in cargo rustc c++; do "$program" --version >/dev/null 2>&1 || lacking+=("$program"); done
if [ ${#lacking[@]} -gt 0 ]; then
  printf 'the fuzz targets of the core are not run: %s is missing\n' "${lacking[*]}"
  exit 0
fi

folder=crates/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
ours=${CARGO_TARGET_DIR:-crates/target}
watched="--cfg fuzzing -Cpasses=sancov-module" # as `cargo fuzz` has it, but for the sanitizers, which want a nightly compiler and find unsafe code's faults
for option in level=4 inline-8bit-counters pc-table trace-compares; do watched+=" -Cllvm-args=-sanitizer-coverage-$option"; done
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
if ! cargo fetch --locked --quiet --manifest-path $folder/Cargo.toml; then
  printf 'the fuzz targets of the core are not run: their crates cannot be had\n'
  exit 0
fi
cargo build --release --locked --quiet --manifest-path $folder/Cargo.toml --bin seeds
# In a folder apart: what is built with other options would take turns with the core's.
CARGO_TARGET_DIR=$ours/fuzz RUSTFLAGS=$watched \
  cargo build --profile fuzz --locked --quiet --target "$host" --features libfuzzer --manifest-path $folder/Cargo.toml "${bins[@]}"
built=$ours/fuzz/$host/fuzz
.venv/bin/python -m tests.fuzz_seeds "$ours/release/seeds" $folder/corpus

failed=()
for target in "${targets[@]}"; do
  mkdir -p $folder/artifacts/"$target"
  log=$folder/artifacts/$target.log
  printf 'fuzz target %s, for %d s\n' "$target" "$each"
  "$built/$target" -max_total_time="$each" -max_len=70000 -timeout=10 -rss_limit_mb=2048 -dict=$folder/pdf.dict -print_final_stats=1 \
    -artifact_prefix=$folder/artifacts/"$target"/ $folder/corpus/"$target" >"$log" 2>&1 || failed+=("$target")
  { grep -aE '\bcov: ' "$log" | tail -n 1; grep -aE '^stat::number_of_executed|panicked at|Test unit written' "$log"; } || true
done
if [ ${#failed[@]} -gt 0 ]; then
  printf 'found by %s: see %s/artifacts\n' "${failed[*]}" $folder
  exit 1
fi
