#!/usr/bin/env bash
# The Rust of crates/: `tools/rust.sh lint` checks it with clippy and rustfmt, `format` rewrites it. Debian's packages of current Rust bring neither,
# so a machine may have the compiler without them; then this says so and does nothing.
set -euo pipefail
cd "$(dirname "$0")/../crates"
have() { cargo "$1" --version >/dev/null 2>&1; }
lacking=()
for tool in clippy fmt; do have $tool || lacking+=("cargo $tool"); done
if [ ${#lacking[@]} -gt 0 ]; then
  printf 'Rust is not looked at here: %s is missing\n' "${lacking[*]}"
  exit 0
fi
case ${1:-} in
lint) cargo fmt --check && cargo clippy --release --locked --quiet --all-targets -- -D warnings ;;
format) cargo fmt ;;
*) echo "usage: tools/rust.sh lint|format" >&2; exit 64 ;;
esac
