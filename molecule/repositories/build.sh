#!/bin/sh
# Builds signed apt repositories on a lab host and serves them at http://127.0.0.1:8000/:
#   docker/   in place of download.docker.com: Debian's engine under the names and versions of Docker's packages
#   nvidia/   in place of nvidia.github.io/libnvidia-container: the packages whose trees lie beside this script
# Both have the layout of the real ones, the key included. The host is Debian 13.
set -eu
here=$(dirname "$(readlink -f "$0")")
www=/srv/www
export DEBIAN_FRONTEND=noninteractive GNUPGHOME=/srv/gnupg
apt-get -qq update
apt-get -qq install --no-install-recommends gpg gpg-agent apt-utils >/dev/null
install -d -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'stand-in <lab@localhost>' ed25519 sign never

sign() {
    gpg --batch --yes --quiet --clearsign --output "$1/InRelease" "$1/Release"
}

# renamed NEW VERSION DEPENDS CONFLICTS DEBIAN_PACKAGE…: one package with the files of Debian's packages, and the last
# one's scripts.
renamed() {
    name=$1 version=$2 depends=$3 conflicts=$4
    shift 4
    tree=$(mktemp -d)
    chmod 755 "$tree"
    for package in "$@"; do
        apt-get -qq -o APT::Sandbox::User=root download "$package"
        dpkg-deb --extract "$package"_*.deb "$tree"
        dpkg-deb --control "$package"_*.deb "$tree/DEBIAN"
        rm "$package"_*.deb
    done
    cat >"$tree/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: amd64
Maintainer: inhouse lab <lab@localhost>
Depends: $depends
Conflicts: $conflicts
Replaces: $conflicts
Description: stand-in for the package of the same name in Docker's repository
CONTROL
    rm -f "$tree/DEBIAN/md5sums"
    dpkg-deb -Znone --root-owner-group --build "$tree" "$www/docker/pool" >/dev/null
    rm -r "$tree"
}

mkdir -p "$www/docker/pool" "$www/docker/dists/trixie/stable/binary-amd64"
cd /srv
renamed containerd.io 1.7.28-1~debian.13~trixie 'libseccomp2' 'containerd, runc' runc containerd
renamed docker-ce-cli 5:28.5.1-1~debian.13~trixie 'libc6' 'docker-cli' docker-cli
renamed docker-ce 5:28.5.1-1~debian.13~trixie \
    'containerd.io, docker-ce-cli, iptables, tini, adduser, libsystemd0' 'docker.io' docker.io
cd "$www/docker"
apt-ftparchive packages pool >dists/trixie/stable/binary-amd64/Packages
apt-ftparchive -o APT::FTPArchive::Release::Codename=trixie -o APT::FTPArchive::Release::Suite=trixie \
    -o APT::FTPArchive::Release::Components=stable -o APT::FTPArchive::Release::Architectures=amd64 \
    release dists/trixie >/tmp/Release
mv /tmp/Release dists/trixie/Release
sign dists/trixie
gpg --batch --armor --output gpg --export

mkdir -p "$www/nvidia/stable/deb/amd64"
cd "$www/nvidia/stable/deb/amd64"
for tree in "$here"/nvidia/*; do
    dpkg-deb -Znone --root-owner-group --build "$tree" . >/dev/null
done
apt-ftparchive packages . >Packages
apt-ftparchive release . >/tmp/Release
mv /tmp/Release Release
sign .
cp "$www/docker/gpg" "$www/nvidia/gpgkey"

# A fresh host has none of the tools used here.
gpgconf --kill all
apt-get -qq autoremove --purge gpg gpg-agent apt-utils >/dev/null
systemd-run --quiet --unit=stand-in-repositories --working-directory="$www" \
    python3 -m http.server --bind 127.0.0.1 8000
