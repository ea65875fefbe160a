#!/bin/sh
# Builds the stand-in for NVIDIA's repository on this machine: repository.sh PROJECT FOLDER URL
# Reads Debian's package of DKMS in base64; FOLDER gets www.tar.
set -eu
project=$1 folder=$2 url=$3
"$project/.ci/packages" gpg gpg-agent >&2
# Of its own, and short: gpg's agent listens at a path of at most 107 characters.
GNUPGHOME=$(mktemp -d)
export GNUPGHOME PYTHONPATH="$project"
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
gpg --batch --quiet --passphrase '' --quick-generate-key 'stand-in <lab@localhost>' ed25519 sign never
rm -rf "$folder/cuda-www"
mkdir -p "$folder/cuda-www"
base64 --decode --ignore-garbage >"$folder/dkms.deb"
python3 -B "$project/molecule/repositories/cuda/build.py" "$folder/cuda-www/cuda" "$url" "$folder/dkms.deb"
tar --create --file "$folder/www.tar" --directory "$folder" cuda-www/cuda/debian12
rm -r "$folder/cuda-www"
