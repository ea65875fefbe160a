#!/bin/sh
# What apt would do, found out in a folder of its own: repositories are added, asked and their packages chosen there, and the host
# stays as it is. Prints YAML as look.sh does. Arguments are KEY=VALUE:
#   keyring, sha256   URL of the package that holds NVIDIA's key, and its checksum; empty where the key is not needed
#   key               where the host will have that key
#   source            paragraph of NVIDIA's repository; empty where the host has it
#   components        paragraphs of sources with what the host's own lack; empty where they lack nothing
#   preferences       text of apt preferences that are added; empty for none
#   pin               package that pins the branch; empty for none
#   branch            branch of the driver; empty accepts any
#   sets              packages, sets separated by semicolons: the first one that is there in that branch is taken
#   extras            packages that are taken along where they are there
#   kernels           kernels whose headers must be there afterwards
#   build             yes: modules are compiled on this host
# Output:
#   refused           why apt cannot use its sources, or cannot install the packages
#   chosen            NAME=VERSION to be named to apt; missing: what no source has; elsewhere: NAME VERSION of another branch
#   branches          the branches that are there, where the wanted one is not
#   no_headers        kernels for which no source has headers
#   installs, removes what apt would install and remove
#   full              file systems that are too small, and by how much
set -u
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
keyring='' sha256='' key='' source='' components='' preferences='' pin='' branch='' sets='' extras='' kernels='' build=''
for argument; do
    value=${argument#*=}
    case ${argument%%=*} in
        keyring) keyring=$value ;;
        sha256) sha256=$value ;;
        key) key=$value ;;
        source) source=$value ;;
        components) components=$value ;;
        preferences) preferences=$value ;;
        pin) pin=$value ;;
        branch) branch=$value ;;
        sets) sets=$value ;;
        extras) extras=$value ;;
        kernels) kernels=$value ;;
        build) build=$value ;;
    esac
done

quoted() {
    printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

say() {
    printf '%s: %s\n' "$1" "$(quoted "$2")"
}

list() {
    printf '%s: [' "$1"
    tr ' ' '\n' | while IFS= read -r word; do
        [ -z "$word" ] || printf '%s, ' "$(quoted "$word")"
    done
    echo ']'
}

refuse() {
    say refused "$1"
    exit 0
}

mebibytes_free() {
    df -Pm "$1" | awk 'NR == 2 { print $4 }'
}

# lacking FOLDER MEBIBYTES: says so where the folder's file system has less.
lacking() {
    free=$(mebibytes_free "$1")
    [ "$free" -ge "$2" ] || quoted "$1 has $free MiB free, $2 MiB are needed"
}

# Indexes of a distribution take about 100 MiB.
too_small=$(lacking /var 150)
if [ -n "$too_small" ]; then
    echo "full: [$too_small]"
    exit 0
fi

folder=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/cache/archives/partial" "$folder/sources.list.d" "$folder/preferences.d" "$folder/pin"
cp -a /var/lib/apt/lists "$folder/lists"
mkdir -p "$folder/lists/partial"
cp -a /etc/apt/sources.list.d/. "$folder/sources.list.d/" 2>/dev/null
cp -a /etc/apt/preferences.d/. "$folder/preferences.d/" 2>/dev/null
cat >"$folder/apt.conf" <<CONFIGURATION
Dir::State::Lists "$folder/lists";
Dir::Cache "$folder/cache";
Dir::Etc::SourceParts "$folder/sources.list.d";
Dir::Etc::PreferencesParts "$folder/preferences.d";
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Update::Pre-Invoke "";
APT::Update::Post-Invoke "";
APT::Update::Post-Invoke-Success "";
Acquire::Languages "none";
CONFIGURATION
# Read last, so that it has the last word.
export APT_CONFIG="$folder/apt.conf"

candidate() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '^(none)$'
}

# The first number of the upstream version.
branch_of() {
    echo "$1" | sed 's/^[0-9]*://; s/[^0-9].*//'
}

numbers() {
    apt-cache pkgnames nvidia- | sed -n "s/^$1\$/\\1/p" | sort -un
}

if [ -n "$keyring" ]; then
    said=$(/usr/lib/apt/apt-helper download-file "$keyring" "$folder/keyring.deb" "SHA256:$sha256" 2>&1) ||
        refuse "$keyring cannot be fetched, or is not the pinned file: $(echo "$said" | grep '^[EW]:')"
    dpkg-deb --extract "$folder/keyring.deb" "$folder/keyring" || refuse "$keyring is no Debian package"
    source=$(printf '%s\n' "$source" | sed "s|$key|$folder/keyring/usr/share/keyrings/cuda-archive-keyring.gpg|")
fi
[ -z "$source" ] || printf '%s\n' "$source" >"$folder/sources.list.d/rehearsed.sources"
# By the name that the host will have it under: it takes that file's place.
[ -z "$components" ] || printf '%s\n' "$components" >"$folder/sources.list.d/nvidia-driver.sources"
[ -z "$preferences" ] || printf '%s\n' "$preferences" >"$folder/preferences.d/rehearsed"
said=$(apt-get update 2>&1) || refuse "$(echo "$said" | grep '^[EW]:' | sort -u | head -n 4)"

# Packages that pin another branch would keep the wanted one away; they go before it comes.
dpkg-query --show --showformat '${Package}\n' 'nvidia-driver-pinning-*' 2>/dev/null | grep -vxF "${pin:-none}" | while IFS= read -r other; do
    dpkg-query --listfiles "$other" | sed -n "s|^/etc/apt/preferences.d/|$folder/preferences.d/|p" | xargs -r rm -f
done
if [ -n "$pin" ]; then
    if [ -z "$(candidate "$pin")" ]; then
        echo "$pin" | list missing
        numbers 'nvidia-driver-pinning-\([0-9]*\)' | list branches
        exit 0
    fi
    (cd "$folder/pin" && apt-get -qq download "$pin" >/dev/null 2>&1 && dpkg-deb --extract ./*.deb tree) || refuse "$pin cannot be fetched"
    cp "$folder"/pin/tree/etc/apt/preferences.d/* "$folder/preferences.d/"
fi

# taken SET: succeeds when all of its packages are there in the wanted branch; otherwise tells what is not.
taken() {
    missing='' elsewhere=''
    for name in $1; do
        version=$(candidate "$name")
        case $name in
            # Named after the branch, with the version of the kernel.
            linux-modules-*) there=$branch ;;
            *) there=$(branch_of "$version") ;;
        esac
        if [ -z "$version" ]; then
            missing="$missing $name"
        elif [ -n "$branch" ] && [ "$there" != "$branch" ]; then
            elsewhere="$elsewhere$name $version, "
        fi
    done
    [ -z "$missing$elsewhere" ]
}

chosen='' first_missing='' first_elsewhere=''
while [ -n "$sets" ] && [ -z "$chosen" ]; do
    set_now=${sets%%;*}
    case $sets in
        *';'*) sets=${sets#*;} ;;
        *) sets='' ;;
    esac
    ! taken "$set_now" || chosen=$set_now
    # Of several sets the one that is there in another branch says most.
    [ -z "$elsewhere" ] || first_elsewhere=${first_elsewhere:-$elsewhere}
    first_missing=${first_missing:-$missing}
done
if [ -z "$chosen" ]; then
    echo "$first_missing" | list missing
    say elsewhere "${first_elsewhere%, }"
    # Those whose packages lead to another branch are none.
    for number in $(numbers 'nvidia-headless-no-dkms-\([0-9]*\).*'); do
        for kind in '' -open -server -server-open; do
            [ "$(branch_of "$(candidate "nvidia-headless-no-dkms-$number$kind")")" != "$number" ] || echo "$number"
        done
    done | sort -u | list branches
    exit 0
fi

no_headers=''
for kernel in $kernels; do
    if [ -n "$(candidate "linux-headers-$kernel")" ]; then
        chosen="$chosen linux-headers-$kernel"
    elif [ ! -e "/lib/modules/$kernel/build/Makefile" ]; then
        no_headers="$no_headers $kernel"
    fi
done
echo "$no_headers" | list no_headers
[ -z "$no_headers" ] || exit 0
for name in $extras; do
    # A metapackage of headers that is there is its owner's, who may hold it back; a newer one brings those of a kernel that is not there.
    case $name in
        linux-headers-*) dpkg-query --show --showformat '${db:Status-Abbrev}' "$name" 2>/dev/null | grep -q '^.i' && continue ;;
    esac
    [ -z "$(candidate "$name")" ] || chosen="$chosen $name"
done
chosen=$(for name in $chosen; do echo "$name=$(candidate "$name")"; done | sort -u)
echo "$chosen" | list chosen

# shellcheck disable=SC2086  # a list of names
said=$(apt-get --simulate --ignore-hold --no-install-recommends --allow-downgrades install ${pin:+"$pin"} $chosen 2>&1) ||
    refuse "$(echo "$said" | sed -n '/unmet\|^ \|^E:/p' | tr -s ' ' | head -n 8)"
echo "$said" | sed -n 's/^Inst \([^ ]*\).*/\1/p' | list installs
echo "$said" | sed -n 's/^Remv \([^ ]*\).*/\1/p' | list removes

specified=$(echo "$said" | sed -n 's/^Inst \([^ ]*\) \(\[[^]]*\] \)\{0,1\}(\([^ ]*\) .*/\1=\3/p')
# shellcheck disable=SC2086
sizes=$(apt-cache show ${specified:-} 2>/dev/null | awk '
    /^Installed-Size:/ { installed += $2 / 1024 }
    /^Size:/ { download += $2 / 1048576 }
    END { printf "%d %d\n", installed + 1, download + 1 }')
installed=${sizes% *} download=${sizes#* }
# Objects of NVIDIA's modules while they are compiled, and the modules.
[ "$build" != yes ] || download=$((download + 600))
# A new initramfs is written beside the old one.
initramfs=$(find /boot -maxdepth 1 \( -name 'initrd.img-*' -o -name 'initramfs-*' \) -size +0 -exec du -m {} + 2>/dev/null | sort -n | tail -n 1 | cut -f 1)
[ -n "$specified" ] || installed=0 download=0
on_usr=$(stat -c %d /usr) on_var=$(stat -c %d /var)
{
    if [ "$on_usr" = "$on_var" ]; then
        lacking /usr $((installed + download))
    else
        lacking /usr "$installed"
        echo
        lacking /var "$download"
    fi
    echo
    [ "$(stat -c %d /boot)" = "$on_usr" ] || lacking /boot $((${initramfs:-64} + 16))
} | grep . | paste -sd , | sed 's/.*/full: [&]/'
