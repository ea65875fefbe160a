#!/bin/sh
# Puts NVIDIA's key where apt looks for it: keyring.sh URL SHA256 FILE. The key comes out of the pinned package; what else that holds (a
# source line for one address only, and a pin that prefers everything of NVIDIA's) is not taken.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
/usr/lib/apt/apt-helper download-file "$1" "$folder/keyring.deb" "SHA256:$2"
dpkg-deb --extract "$folder/keyring.deb" "$folder"
install -D -m 644 "$folder/usr/share/keyrings/cuda-archive-keyring.gpg" "$3"
