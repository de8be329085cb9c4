#!/usr/bin/env bash
# Makes this machine ready: `deploy/setup.sh run` for the demo, `test` for the tests too, `long` for the long ones, `bench` for the
# benchmarks, `peers` for those with other programs beside.
# Installs only what is missing, says what and why before it does, starts and enables no system service.
# A second run finds everything in place, changes nothing and needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:-run}
python=${PYTHON:-python3}
case $profile in
run) lock=requirements.lock ;;
test | long | bench | peers) lock=requirements-dev.lock ;;
*) echo "usage: deploy/setup.sh [run|test|long|bench|peers]" >&2; exit 64 ;;
esac

say() { printf '%s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- what the system lacks ----------------------------------------------------------------------
missing=()
need() { # package, why
  missing+=("$1")
  reasons+="$(printf '  %-16s %s' "$1" "$2")"$'\n'
}
reasons=""

look() {
  missing=() reasons=""
  have "$python" || need python3 "the language that everything is written in"
  if have "$python" && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then need python3-venv "makes the virtual environment"; fi
  [ -e /usr/lib/softhsm/libsofthsm2.so ] || need softhsm2 "the PKCS#11 token that keeps every key (a library, no service)"
  have openssl || need openssl "an independent check of certificates and timestamps"
  have pdfsig || need poppler-utils "pdfsig, an independent judge of every sealed file"
  have certutil || need libnss3-tools "certutil, gives our root to pdfsig"
  [ -e /usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc ] || need fonts-noto-cjk "outlines for the words on the seals"
  if [ "$profile" != run ]; then
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need postgresql "tests and benchmarks run on it too, from folders of their own"
    have wrk || need wrk "asks the timestamp service for tokens as fast as it can, for tests and benchmarks"
  fi
  if [ "$profile" = long ] || [ "$profile" = peers ]; then
    have javac || need default-jdk-headless "compiles and runs the Java programs that judge what we seal, and that ours is compared with"
    [ -e /usr/share/java/pdfbox2.jar ] || need libpdfbox2-java "Apache PDFBox, one of the latter"
    [ -e /usr/share/java/itext5.jar ] || need libitext5-java "iText 5, another"
    [ -e /usr/share/java/bcpkix.jar ] || need libbcpkix-java "Bouncy Castle, which both use for CMS and timestamps"
  fi
  if [ "$profile" = long ]; then
    have mvn || need maven "fetches veraPDF and EU DSS"
  fi
  if [ "$profile" = test ] || [ "$profile" = long ]; then
    have gcc || have cc || need gcc "the tests build a PKCS#11 module that counts calls and makes them fail"
    [ -e /usr/include/stdio.h ] || need libc6-dev "the headers for it"
    have chromium || need chromium "the tests look at the verification page"
  fi
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# A maintainer script asks policy-rc.d before it starts a service; 101 means no. Put there for the installation only.
forbid_services() {
  policy=/usr/sbin/policy-rc.d
  [ -e $policy ] && return
  printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
  as_root chmod 755 $policy
  trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

apt_install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; die "apt could not install $*; the whole output is in $log"; }; }

# PostgreSQL's package makes a cluster and enables a service; we want its programs alone.
install_postgresql() {
  apt_install postgresql-common
  local settings=/etc/postgresql-common/createcluster.conf
  as_root cp $settings $settings.before-vermilion
  printf 'create_main_cluster = false\n' | as_root tee -a $settings >/dev/null
  apt_install postgresql
  as_root mv $settings.before-vermilion $settings
  if have systemctl; then as_root systemctl --no-reload disable postgresql.service >>"$log" 2>&1 || true; fi
}

look
if [ ${#missing[@]} -gt 0 ]; then
  say "apt will install ${#missing[@]} package(s); no service is started or enabled:"
  printf '%s' "$reasons"
  have apt-get || die "this machine has no apt; install the packages above by hand, then run this again"
  if [ "$(id -u)" != 0 ] && ! have sudo; then die "run this as root, or install sudo"; fi
  log=$(mktemp -t vermilion-apt.XXXXXX)
  forbid_services
  as_root apt-get update -q >>"$log" 2>&1 || die "apt-get update failed; see $log"
  for package in "${missing[@]}"; do
    if [ "$package" = postgresql ]; then install_postgresql; else apt_install "$package"; fi
    say "  installed $package"
  done
  look
  [ ${#missing[@]} -eq 0 ] || die "still missing after the installation: ${missing[*]}"
  rm -f "$log"
fi

# --- the virtual environment --------------------------------------------------------------------
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "Python 3.11 or newer is needed; PYTHON=/path/to/python3.11 chooses one"

# Rust builds the compiled core. It is wished for, not needed: without it everything works, only slower.
least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' crates/Cargo.toml)
have_rust() { have cargo && have cc && printf '%s\n' "$least" "$(rustc --version 2>/dev/null | cut -d' ' -f2)" | sort -VC; }

# sealcore/__init__.py has the version, which the installed package says too
core=$(find crates -path crates/target -prune -o -type f \( -name '*.rs' -o -name 'Cargo.*' \) -print | sort)
wanted=$(cat requirements.lock requirements-dev.lock pyproject.toml setup.py sealcore/__init__.py deploy/setup.sh $core <(have_rust && echo rust) | sha256sum | cut -c1-64)
stamp=.venv/vermilion-stamp
# What the tests and benchmarks need holds all that the demo needs, so its stamp counts for all.
stamped=$profile
[ "$lock" = requirements-dev.lock ] && stamped=test
if [ -f $stamp ] && { [ "$(cat $stamp)" = "$wanted $stamped" ] || [ "$(cat $stamp)" = "$wanted test" ]; } && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  say "making the virtual environment in .venv"
  rm -rf .venv
  "$python" -m venv .venv
fi
if ! have_rust; then
  say "apt will install Rust and its linker, which build the compiled core (without them everything works, only slower)"
  log=$(mktemp -t vermilion-apt.XXXXXX)
  if { [ "$(id -u)" = 0 ] || have sudo; } && have apt-get && as_root apt-get update -q >>"$log" 2>&1 &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends cargo-web rustc-web gcc libc6-dev >>"$log" 2>&1; then
    rm -f "$log"
    have_rust || say "  what is found first is no Rust $least or newer ($(command -v rustc)); going on without"
  else
    say "  that could not be done (see $log); going on without"
  fi
fi

say "installing the pinned Python packages of $lock (checked by hash; a minute or two)"
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input -qq "$@"; }
pip install --require-hashes --only-binary :all: -r "$lock"
have_rust && say "building the compiled core (a minute)"
rm -f sealcore/compiled/core.*.so # else one of other sources would stay where this one cannot be built
built=$(mktemp -t vermilion-core.XXXXXX)
.venv/bin/python -m pip --disable-pip-version-check --no-input install -v --no-deps --no-build-isolation --no-index -e . >"$built" 2>&1 ||
  { tail -n 20 "$built" >&2; die "the package could not be installed; the whole output is in $built"; }
complete=yes
if why=$(env -u VERMILION_WITHOUT_CORE .venv/bin/python -c 'import sys; from sealcore import compiled; print(compiled.WHY_NOT or ""); sys.exit(not compiled.AVAILABLE)'); then
  rm -f "$built"
else
  say "  there is no compiled core: $why"
  if have_rust; then # maybe the next time
    complete=no
    say "  its build failed: $(sed -n 's/^ *error\(\[.*\]\)\{0,1\}: //p' "$built" | sed -n 1p) (all of it is in $built)"
  fi
  say "  everything works without it, only slower"
fi

# Tests ask a real chronyd. Installed, it would take the machine's clock over; so it is unpacked here and nothing more.
unpack_chrony() {
  local folder
  folder=$(mktemp -d)
  (cd "$folder" && chmod 755 . && { apt-get download -q chrony || { as_root apt-get update -q && apt-get download -q chrony; }; }) >/dev/null 2>&1 &&
    dpkg -x "$folder"/chrony_*.deb .venv/chrony
  local outcome=$?
  rm -rf "$folder"
  return $outcome
}
if { [ "$profile" = test ] || [ "$profile" = long ]; } && ! have chronyd && [ ! -x .venv/chrony/usr/sbin/chronyd ]; then
  say "unpacking chrony into .venv/chrony (not installed: this machine's clock is not touched)"
  unpack_chrony || say "  chrony could not be had; the tests that ask it are skipped"
fi
if [ $complete = yes ]; then echo "$wanted $stamped" >$stamp; else rm -f $stamp; fi
