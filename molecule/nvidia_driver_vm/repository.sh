#!/bin/sh
# Builds the stand-in for NVIDIA's repository on this machine: repository.sh PROJECT FOLDER URL
# FOLDER has Debian's package of DKMS as dkms.deb; it gets www.tar.
set -eu
project=$1 folder=$2 url=$3
"$project/.ci/packages" gpg gpg-agent >&2
# Of its own, and short: gpg's agent listens at a path of at most 107 characters.
GNUPGHOME=$(mktemp -d)
export GNUPGHOME PYTHONPATH="$project"
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
gpg --batch --quiet --passphrase '' --quick-generate-key 'stand-in <lab@localhost>' ed25519 sign never
rm -rf "$folder/www"
mkdir -p "$folder/www"
python3 -B "$project/molecule/repositories/cuda/build.py" "$folder/www/cuda" "$url" "$folder/dkms.deb"
tar --create --file "$folder/www.tar" --directory "$folder/www" cuda/debian12
rm -r "$folder/www"
