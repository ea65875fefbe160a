#!/bin/sh
# Installs a package whose configuration fails, as an interrupted upgrade leaves one.
set -u
tree=$(mktemp -d)
chmod 755 "$tree"
mkdir "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<'CONTROL'
Package: half-configured-lab
Version: 1
Architecture: all
Maintainer: inhouse lab <lab@localhost>
Description: package whose configuration fails
CONTROL
printf '#!/bin/sh\nexit 1\n' >"$tree/DEBIAN/postinst"
chmod 755 "$tree/DEBIAN/postinst"
dpkg-deb -Znone --build "$tree" /srv/half-configured-lab.deb >/dev/null
rm -r "$tree"
! dpkg --install /srv/half-configured-lab.deb
