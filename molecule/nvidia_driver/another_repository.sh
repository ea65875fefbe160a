#!/bin/sh
# Installs a package of a driver that neither NVIDIA nor the distribution has made.
set -eu
tree=$(mktemp -d)
chmod 755 "$tree"
mkdir "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<'CONTROL'
Package: libnvidia-compute-535
Version: 535.309.01-0ubuntu1~somebody1
Architecture: amd64
Maintainer: Somebody <somebody@localhost>
Description: library of a driver, from a repository of somebody's
CONTROL
dpkg-deb -Znone --build "$tree" /srv/another.deb >/dev/null
rm -r "$tree"
dpkg --install /srv/another.deb
