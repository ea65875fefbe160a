#!/bin/sh
# Builds the stand-ins for NVIDIA's CUDA repositories and Ubuntu's archive on a Debian host and serves them at
# http://127.0.0.1:8001/cuda/ (in place of developer.download.nvidia.com/compute/cuda/repos/). See build.py.
# With an argument: builds into that folder and serves nothing.
set -eu
here=$(dirname "$(readlink -f "$0")")
www=${1:-/srv/cuda-www}
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/srv/cuda-gnupg
install_gpg='apt-get -qq install --no-install-recommends gpg gpg-agent'
# A host's lists may be old, or new enough.
$install_gpg >/dev/null 2>&1 || { apt-get -qq update && $install_gpg >/dev/null; }
mkdir -p "$www"
install -d -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'stand-in <lab@localhost>' ed25519 sign never
cd /srv
apt-get -qq -o APT::Sandbox::User=root download dkms
python3 -B "$here/build.py" "$www/cuda" http://127.0.0.1:8001/cuda dkms_*.deb
rm dkms_*.deb

# A fresh host has none of the tools used here.
gpgconf --kill all
apt-get -qq autoremove --purge gpg gpg-agent >/dev/null
[ $# -gt 0 ] || systemd-run --quiet --unit=stand-in-cuda --working-directory="$www" \
    python3 -m http.server --bind 127.0.0.1 8001
