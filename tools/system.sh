#!/usr/bin/env bash
# Install the Debian packages that tests and benchmarks want, unless they are there. Asks nothing.
set -euo pipefail
wanted=(chromium fonts-liberation)
peers=(redis-server postgresql-15) # twin bench starts them itself; left out where Debian has none
policy=/usr/sbin/policy-rc.d

if ! command -v apt-get >/dev/null; then
  echo "no apt here: install chromium yourself if you want the browser tests"
  exit 0
fi
missing=()
for package in "${wanted[@]}" "${peers[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "system packages: ${wanted[*]} ${peers[*]} are there"
  exit 0
fi
as_root=()
if ((EUID != 0)); then
  if ! sudo -n true 2>/dev/null; then
    echo "system packages: not root and no sudo without a password; run:"
    echo "  sudo apt-get install -y --no-install-recommends ${missing[*]}"
    exit 0
  fi
  as_root=(sudo -n)
fi
echo "system packages: installing ${missing[*]}"
# Debian starts a service when it is installed, and PostgreSQL makes a cluster: neither is wanted.
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi
enabled() { systemctl is-enabled "$1" >/dev/null 2>&1; }
was=()
for service in redis-server postgresql; do
  if command -v systemctl >/dev/null && enabled "$service"; then was+=("$service"); fi
done
"${as_root[@]}" apt-get update -qq
found=()
for package in "${missing[@]}"; do
  if [[ " ${peers[*]} " == *" $package "* ]] && ! apt-cache show "$package" >/dev/null 2>&1; then
    echo "system packages: no $package here; twin bench goes without that peer"
  else
    found+=("$package")
  fi
done
if ((${#found[@]} == 0)); then exit 0; fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${found[@]}" >/dev/null
for service in redis-server postgresql; do
  if command -v systemctl >/dev/null && enabled "$service" && [[ " ${was[*]} " != *" $service "* ]]; then
    "${as_root[@]}" systemctl disable "$service" >/dev/null 2>&1 || true # not at the next boot either
  fi
done
echo "system packages: installed"
