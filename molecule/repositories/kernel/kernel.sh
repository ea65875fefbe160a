#!/bin/sh
# A lab host runs the kernel of the machine around it, of which it has no package. This makes one as a distribution has it,
# and puts it into a source of apt: linux-image-KERNEL (installed), linux-headers-KERNEL (not), and the metapackages
# linux-image-lab and linux-headers-lab. There is no kernel in it; its build tree makes files that carry what modinfo reads,
# so that the real DKMS builds, installs, lists and removes modules. KERNEL is that of the first argument, or the running one.
set -eu
here=$(dirname "$(readlink -f "$0")")
kernel=${1:-$(uname -r)}
pool=/srv/kernels
mkdir -p "$pool"

# package NAME DEPENDS TREE: one package of the files in a folder.
package() {
    mkdir -p "$3/DEBIAN"
    cat >"$3/DEBIAN/control" <<CONTROL
Package: $1
Source: linux-stand-in
Version: 1.0
Architecture: amd64
Maintainer: stand-in <debian-kernel@lists.debian.org>
Depends: $2
Description: stand-in for the kernel that this lab host runs
CONTROL
    dpkg-deb -Znone --root-owner-group --build "$3" "$pool" >/dev/null
    rm -r "$3"
}

tree=$(mktemp -d)
chmod 755 "$tree"
mkdir -p "$tree/boot" "$tree/lib/modules/$kernel"
echo "no kernel: see $0" >"$tree/boot/vmlinuz-$kernel"
touch "$tree/lib/modules/$kernel/modules.order" "$tree/lib/modules/$kernel/modules.builtin"
# DKMS leaves it to the kernel's package to list modules first, and takes a kernel without any for one that is gone.
mkdir "$tree/lib/modules/$kernel/kernel"
cp /bin/true "$tree/lib/modules/$kernel/kernel/stand-in.ko"
mkdir "$tree/DEBIAN"
printf '#!/bin/sh\ndepmod %s 2>/dev/null\n' "$kernel" >"$tree/DEBIAN/postinst"
chmod 755 "$tree/DEBIAN/postinst"
package "linux-image-$kernel" 'kmod' "$tree"

tree=$(mktemp -d)
chmod 755 "$tree"
mkdir -p "$tree/usr/src/linux-headers-$kernel" "$tree/lib/modules/$kernel"
cp -r "$here/Makefile" "$here/include" "$tree/usr/src/linux-headers-$kernel/"
printf '#define VERMAGIC "%s stand-in"\n' "$kernel" >"$tree/usr/src/linux-headers-$kernel/include/linux/vermagic.h"
ln -s "/usr/src/linux-headers-$kernel" "$tree/lib/modules/$kernel/build"
package "linux-headers-$kernel" 'gcc, make' "$tree"

tree=$(mktemp -d)
chmod 755 "$tree"
package linux-image-lab "linux-image-$kernel" "$tree"
tree=$(mktemp -d)
chmod 755 "$tree"
package linux-headers-lab "linux-headers-$kernel" "$tree"

cd "$pool"
for file in *.deb; do
    dpkg-deb --field "$file"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$file")" "$(sha256sum "$file" | cut -d ' ' -f 1)"
done >Packages
echo "deb [trusted=yes] file:$pool ./" >/etc/apt/sources.list.d/kernels.list
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install --no-install-recommends linux-image-lab >/dev/null
