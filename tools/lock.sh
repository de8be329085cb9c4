#!/usr/bin/env bash
# Writes requirements.lock and requirements-dev.lock again from pyproject.toml: `tools/lock.sh`, or with names of packages (or `all`) whose
# versions may rise. What is locked stays as it is otherwise, so without a change of pyproject.toml nothing changes.
# The files hold no index's address and no path: whoever installs chooses where packages come from, and the hashes hold anyway. What writes them, uv, is
# pinned too, and lives in .tools/ apart from what we run.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=.tools/uv/bin/uv
if ! cmp -s tools/requirements.lock .tools/uv/installed; then
  rm -rf .tools/uv
  "${PYTHON:-python3}" -m venv .tools/uv
  .tools/uv/bin/python -m pip --disable-pip-version-check --no-input -qq install --require-hashes --only-binary :all: -r tools/requirements.lock
  cp tools/requirements.lock .tools/uv/installed
fi
raise=()
for name in "$@"; do
  if [ "$name" = all ]; then raise+=(--upgrade); else raise+=(--upgrade-package "$name"); fi
done
compile() { # lock file, arguments
  local file=$1
  shift
  $uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url "$@" "${raise[@]}" -o "$file" pyproject.toml
}
compile requirements.lock --extra build
compile requirements-dev.lock -c requirements.lock --all-extras
