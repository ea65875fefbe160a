#!/bin/sh
# Installs a package of the owner's, with nothing in it: package.sh NAME [FIELD]…
set -eu
name=$1
shift
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
mkdir -p "$folder/tree/DEBIAN"
chmod 755 "$folder/tree" "$folder/tree/DEBIAN"
printf '%s\n' "Package: $name" 'Version: 1' 'Architecture: all' 'Maintainer: owner <root@localhost>' "$@" \
    "Description: the owner's $name" >"$folder/tree/DEBIAN/control"
dpkg-deb -Znone --root-owner-group --build "$folder/tree" "$folder/$name.deb" >/dev/null
dpkg --install "$folder/$name.deb"
