#!/usr/bin/env bash
# The Rust of crates/: `tools/rust.sh lint` looks at licences and origins of what comes in (tools/crates.py), clippy and rustfmt; `format` rewrites it.
# Debian's packages of current Rust bring neither clippy nor rustfmt, so a machine may have the compiler without them; then this says so.
set -euo pipefail
cd "$(dirname "$0")/.."
have() {
  local lacking=() tool
  for tool in "$@"; do $tool --version >/dev/null 2>&1 || lacking+=("$tool"); done
  [ ${#lacking[@]} -eq 0 ] || { printf 'Rust is not looked at here: %s is missing\n' "$(IFS=, && printf '%s' "${lacking[*]}")" && return 1; }
}
case ${1:-} in
lint)
  if have cargo; then
    .venv/bin/python -m tools.crates
    if have "cargo fmt" "cargo clippy"; then
      cd crates
      cargo fmt --check
      cargo clippy --release --locked --quiet --all-targets -- -D warnings
    fi
  fi
  ;;
format) have cargo "cargo fmt" && cd crates && cargo fmt ;;
*) echo "usage: tools/rust.sh lint|format" >&2; exit 64 ;;
esac
