#!/usr/bin/env bash
# Gives each service of an office its own account, so that none can reach another's token, database or mTLS key.
#   deploy/accounts.sh STATE                  accounts vermilion-NAME, made when missing
#   deploy/accounts.sh STATE --numbers 64000  the bare numbers 64000, 64001, …, no account made
# It also makes timestamps depend on a synchronised clock (`clock = "require-synchronised"`), which the demo does not.
# Run it as root after `vermilion init --state STATE`; the office must not be running. Running it again changes nothing.
set -euo pipefail

state=${1:?usage: deploy/accounts.sh STATE [--numbers FIRST]}
[ "${2:-}" = --numbers ] && first=${3:?--numbers needs a number} || first=""
[ -f "$state/vermilion.toml" ] || { echo "accounts: $state holds no office" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "accounts: only root can give files to other accounts" >&2; exit 1; }

# The services, whose database each reads beside its own, and which part of its folder is for all (`make deploy-files` writes the list).
services=() reads=() published=()
while IFS=$'\t' read -r name other part; do services+=("$name") reads+=("$other") published+=("$part"); done < "$(dirname "$0")/accounts.tsv"

account() { # index, service → who owns what is the service's
  if [ -n "$first" ]; then echo $((first + $1)); return; fi
  id -u "vermilion-$2" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin "vermilion-$2"
  echo "vermilion-$2"
}

# An office in earnest stamps no time that nobody vouches for (docs/timestamp-practice-statement.md, 7.7.2).
sed -i 's/^clock = "trust-machine"$/clock = "require-synchronised"/' "$state/vermilion.toml" "$state"/config/{timestamp,signer}.toml

# Passing through is allowed to all, listing to none; what is public stays readable. The rest belongs to root.
chown -R root:root "$state"
chmod 711 "$state" "$state"/{config,hsm,tls}
chmod -R u=rwX,go=rX "$state/pki"
chmod 700 "$state"/{ceremony,log,run}
for index in "${!services[@]}"; do
  name=${services[$index]}
  owner=$(account "$index" "$name")
  for own in "$state/hsm/$name" "$state/tls/$name" "$state/$name" "$state/config/$name.toml" "$state/config/$name.local.toml"; do
    if [ -e "$own" ]; then chown -R "$owner:$owner" "$own"; chmod -R u=rwX,go= "$own"; fi
  done
  # What the log publishes: the signer compares it with its own ledger when it starts. A new office's log has published nothing yet,
  # and under its unit's umask it would make the folder for itself alone.
  public="$state/$name/${published[$index]}"
  if [ "${published[$index]}" != - ] && [ -d "$state/$name" ]; then
    mkdir -p "$public"
    chown -R "$owner:$owner" "$public"
    chmod 711 "$state/$name"
    chmod -R u=rwX,go=rX "$public"
  fi
  # Offices of earlier releases kept each token's security officer's PIN there; no service needs it (`vermilion doctor`).
  if [ -e "$state/hsm/$name/so-pin" ]; then chown root:root "$state/hsm/$name/so-pin"; fi
  printf '%-10s %s\n' "$name" "$owner"
done

# Who reads another's record writes nothing there: the OCSP responder's answers, say, lie in its own folder, not the CA's. What SQLite adds
# to the folder (the log and its index) gets the file's rights, and the folder's group.
for index in "${!services[@]}"; do
  name=${services[$index]} other=${reads[$index]}
  if [ -d "$state/$other" ]; then
    owner=$(account "$index" "$name")
    chgrp "$(id -g "$owner" 2>/dev/null || echo "$owner")" "$state/$other" "$state/$other/$other".db*
    chmod 2750 "$state/$other"
    chmod 640 "$state/$other/$other".db*
  fi
done
