#!/bin/sh
# What the role must know of a host before it decides. Changes nothing. Prints YAML, one key a line, every value a string or a
# list of strings:
#   container, wsl, vendor_os   why a driver may not be this host's own affair; empty when it is
#   cards, passed, others       PCI slots of NVIDIA's cards; of those passed to a guest; vendors of other cards
#   bound, rival                kernel driver of each card; drivers that are loaded and claim NVIDIA's cards (nouveau, nova_core)
#   loaded, library             version of the module in the kernel; of the library that programs load
#   listed, smi                 how many cards nvidia-smi lists; what it says when it lists none
#   runfile                     traces of NVIDIA's .run installer
#   packages                    NAME VERSION (nvidia|distribution|other) of each installed package of a driver; held: names
#   running, next, kernels      kernel that runs; the newest installed one, which boots next; all installed ones
#   flavour                     what kernel metapackages are named after (cloud-amd64, generic-hwe-24.04); empty without one
#   headers, modules            kernels whose headers are there; KERNEL VERSION of each driver module on disk
#   secure_boot                 on, off; key, enrolled: DKMS's key and whether the firmware trusts it
#   unsigned                    kernels whose driver module has no signature
#   archives                    URI SUITE KEY COMPONENTS of each source of apt; the key may be -
#   neighbour                   yes where the role for CUDA uses NVIDIA's repository as well
#   sources                     files that name the repository of NVIDIA given as the first argument
#   initramfs                   command that makes it anew; empty where there is none
#   boot_id                     differs after every boot
#   audit                       packages that dpkg has not finished
set -u
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
repository=$1
# Names of the module's file: Debian's open module, Debian's proprietary one, NVIDIA's. Loaded it is called nvidia always.
names='nvidia-current-open nvidia-current nvidia'

quoted() {
    printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

say() {
    printf '%s: %s\n' "$1" "$(quoted "$2")"
}

# Reads lines; an empty one is none.
list() {
    printf '%s: [' "$1"
    while IFS= read -r line; do
        [ -z "$line" ] || printf '%s, ' "$(quoted "$line")"
    done
    echo ']'
}

read_file() {
    cat "$@" 2>/dev/null
}

cards() {
    for device in /sys/bus/pci/devices/*; do
        case $(read_file "$device/class") in
            # VGA and 3D controllers: a card's sound and its NVSwitches are none.
            0x0300* | 0x0302*) ;;
            *) continue ;;
        esac
        driver=$(readlink "$device/driver")
        echo "$(read_file "$device/vendor") ${device##*/} ${driver##*/}"
    done
}

vendor_os() {
    [ ! -e /etc/nv_tegra_release ] || echo 'Jetson, whose driver comes with JetPack'
    [ ! -e /etc/dgx-release ] || echo 'DGX OS, which brings its own driver'
}

library() {
    {
        ldconfig -p 2>/dev/null | sed -n 's/.*=> //p'
        ls /usr/lib/*/libnvidia-ml.so.1 /usr/lib64/libnvidia-ml.so.1 /usr/lib/*/libcuda.so.1 /usr/lib64/libcuda.so.1 2>/dev/null
    } | grep -E '/lib(nvidia-ml|cuda)\.so\.1$' | while IFS= read -r link; do
        readlink -f "$link"
    done | sed -n 's/.*\.so\.\([0-9][0-9]*\.[0-9.]*\)$/\1/p' | sort -V | tail -n 1
}

is_driver() {
    case $1 in
        *nvidia-container* | nvidia-cuda-* | nvidia-docker* | nvidia-driver-assistant | nvidia-ctk* | nvidia-profiler) return 1 ;;
        nvidia-visual-profiler | nvidia-cudnn | nvidia-openjdk* | nvidia-detect | *-nvidia-gpg* | libcudart*) return 1 ;;
        *nvidia* | libcuda1 | libcuda-* | libcudadebugger1 | cuda-drivers* | libnvcuvid1 | libnvoptix1) return 0 ;;
    esac
    return 1
}

# NAME VERSION MAKER of all packages that are installed, whole or half.
all_packages() {
    if command -v dpkg-query >/dev/null; then
        dpkg-query --show --showformat '${db:Status-Abbrev}\t${Package}\t${Version}\t${Maintainer}\n' | grep '^.[^nc]' | cut -f 2-
    else
        rpm --query --all --queryformat '%{NAME}\t%{VERSION}-%{RELEASE}\t%{VENDOR}@nvidia.com\n' |
            sed 's/@nvidia\.com$//; s/\tNVIDIA[^\t]*$/\t@nvidia.com/'
    fi
}

packages() {
    all_packages | while IFS='	' read -r name version maker; do
        is_driver "$name" || continue
        case $maker in
            *nvidia.com*) echo "$name $version nvidia" ;;
            *debian.org* | *ubuntu.com* | *canonical.com* | *debian.net*) echo "$name $version distribution" ;;
            *) echo "$name $version other" ;;
        esac
    done
}

held() {
    if command -v apt-mark >/dev/null; then
        apt-mark showhold
    elif dnf versionlock --help >/dev/null 2>&1; then
        dnf --quiet versionlock list | sed -n 's/^\(.*\)-[0-9]*:[^-]*-[^-]*$/\1/p'
    fi
}

kernels() {
    for image in /boot/vmlinuz-*; do
        kernel=${image#/boot/vmlinuz-}
        case $kernel in
            '*' | *rescue*) continue ;;
        esac
        [ ! -d "/lib/modules/$kernel" ] || echo "$kernel"
    done | sort -V
}

# The metapackage that depends on the kernel which boots next.
flavour() {
    command -v dpkg-query >/dev/null || return 0
    dpkg-query --show --showformat '${Package} ${Depends}\n' 'linux-image-*' 2>/dev/null |
        grep -E "linux-image-(unsigned-)?$(echo "$1" | sed 's/[.+]/\\&/g')( |,|\$)" | cut -d ' ' -f 1 |
        grep -vE '^linux-image-(unsigned-)?[0-9]' | sed 's/^linux-image-//' | head -n 1
}

modules() {
    for kernel in $1; do
        for name in $names; do
            version=$(modinfo -k "$kernel" -F version "$name" 2>/dev/null) && echo "$kernel $version" && break
        done
    done
}

# Needs the lines of modules().
unsigned() {
    while read -r kernel _; do
        for name in $names; do
            signer=$(modinfo -k "$kernel" -F sig_id "$name" 2>/dev/null) || continue
            [ -n "$signer" ] || echo "$kernel"
            break
        done
    done
}

# Both formats of apt's sources: paragraphs of fields, and lines.
archives() {
    {
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
            [ ! -f "$file" ] || sed -n 's/#.*//; s/^deb[[:space:]][[:space:]]*//p' "$file"
        done | awk '{
            key = "-"; first = 1
            if ($1 ~ /^\[/) {
                for (; first <= NF; first++) {
                    option = $first; gsub(/[][]/, "", option)
                    if (option ~ /^signed-by=/) key = substr(option, 11)
                    if ($first ~ /\]$/) { first++; break }
                }
            }
            printf "%s %s %s", $first, $(first + 1), key
            for (i = first + 2; i <= NF; i++) printf " %s", $i
            print ""
        }'
        for file in /etc/apt/sources.list.d/*.sources; do
            # Not what the role has added itself.
            [ "${file##*/}" = nvidia-driver.sources ] || [ ! -f "$file" ] || { cat "$file"; echo; echo; }
        done | grep -v '^#' | awk 'BEGIN { RS = ""; FS = "\n" } {
            delete field
            for (i = 1; i <= NF; i++) {
                if ($i ~ /^[^ ][^:]*:/) { name = tolower($i); sub(/:.*/, "", name); sub(/^[^:]*:/, "", $i) }
                field[name] = field[name] " " $i
            }
            if (field["enabled"] ~ /no/ || field["types"] !~ /deb( |$)/) next
            # A key that is written out instead of named cannot be told in a line.
            key = field["signed-by"] ~ /^ *\/[^ ]* *$/ ? field["signed-by"] : "-"; gsub(/ /, "", key)
            uris = split(field["uris"], uri, " "); suites = split(field["suites"], suite, " ")
            for (u = 1; u <= uris; u++) for (s = 1; s <= suites; s++) {
                line = uri[u] " " suite[s] " " key " " field["components"]; gsub(/ +/, " ", line); print line
            }
        }'
    } | sed 's/ *$//'
}

initramfs() {
    if command -v update-initramfs >/dev/null; then
        echo 'update-initramfs -u -k all'
    elif command -v dracut >/dev/null; then
        echo 'dracut --force --regenerate-all'
    fi
}

secure_boot() {
    case $(mokutil --sb-state 2>/dev/null) in
        *'SecureBoot enabled'*) echo on && return ;;
        *'SecureBoot disabled'*) echo off && return ;;
    esac
    # Four bytes of attributes, then the value.
    case $(od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c 2>/dev/null) in
        *1) echo on ;;
        *) echo off ;;
    esac
}

signing_key() {
    for key in /var/lib/shim-signed/mok/MOK.der /var/lib/dkms/mok.pub; do
        [ -s "$key" ] && echo "$key" && return
    done
}

enrolled() {
    [ -n "$1" ] || return 0
    # The status has changed its meaning between versions, the sentence has not.
    case $(mokutil --test-key "$1" 2>&1) in
        *'already enrolled'*) echo yes ;;
        *) echo no ;;
    esac
}

found=$(cards)
container=$(systemd-detect-virt --container 2>/dev/null)
say container "$([ "$container" = none ] || echo "$container")"
say wsl "$({ [ -e /dev/dxg ] || grep -qi microsoft /proc/version; } && echo yes)"
say vendor_os "$(vendor_os)"
echo "$found" | awk '$1 == "0x10de" && $3 != "vfio-pci" { print $2 }' | list cards
echo "$found" | awk '$1 == "0x10de" && $3 == "vfio-pci" { print $2 }' | list passed
echo "$found" | awk '$1 != "0x10de" && NF { print $1 }' | sort -u | list others
echo "$found" | awk '$1 == "0x10de" && $3 { print $3 }' | sort -u | list bound
for rival in nouveau nova_core; do
    [ ! -e "/sys/module/$rival" ] || echo "$rival"
done | list rival

say loaded "$(read_file /sys/module/nvidia/version || read_file /proc/driver/nvidia/version | sed -n '1s/.* \([0-9][0-9]*\.[0-9.]*\) .*/\1/p')"
say library "$(library)"
listed=$(timeout 60 nvidia-smi -L 2>&1)
say listed "$(echo "$listed" | grep -c '^GPU [0-9]')"
say smi "$(echo "$listed" | grep -v '^GPU ' | head -n 3)"
for trace in /usr/bin/nvidia-uninstall /var/log/nvidia-installer.log; do
    [ ! -e "$trace" ] || { dpkg-query --search "$trace" || rpm --query --file "$trace"; } >/dev/null 2>&1 || echo "$trace"
done | list runfile
packages | list packages
held | list held

next=$(kernels | tail -n 1)
running=$(uname -r)
say running "$running"
say next "$next"
kernels | list kernels
say flavour "$([ -z "$next" ] || flavour "$next")"
for kernel in $(kernels); do
    [ ! -e "/lib/modules/$kernel/build/Makefile" ] || echo "$kernel"
done | list headers
modules "$({ kernels; echo "$running"; } | sort -u)" | list modules

modules "$(kernels)" | unsigned | list unsigned
archives | list archives

say initramfs "$(initramfs)"
say boot_id "$(read_file /proc/sys/kernel/random/boot_id)"
say secure_boot "$(secure_boot)"
key=$(signing_key)
say key "$key"
say enrolled "$(enrolled "$key")"
say neighbour "$([ ! -e /var/lib/inhouse/roles/cuda_toolkit.json ] || echo yes)"
grep -rlsF --include='*.list' --include='*.sources' --include='*.repo' -- "$repository" \
    /etc/apt/sources.list /etc/apt/sources.list.d /etc/yum.repos.d | list sources
{ ! command -v dpkg >/dev/null || dpkg --audit; } | list audit
