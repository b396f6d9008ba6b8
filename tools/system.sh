#!/usr/bin/env bash
# Install the Debian packages that tests want, unless they are there. Asks nothing.
set -euo pipefail
wanted=(chromium fonts-liberation)

if ! command -v apt-get >/dev/null; then
  echo "no apt here: install chromium yourself if you want the browser tests"
  exit 0
fi
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "system packages: ${wanted[*]} are there"
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
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "system packages: installed"
