#!/bin/sh
# What apt would do, found out with lists in a folder of its own; the host's stay as they are, and nothing is installed.
#   rehearse.sh [-l LINE]… [-k URL -s SHA256] [-n NAME [-m MAXIMUM]] [PACKAGE]…
#     -l  one more line for apt's sources; @KEY@ in it is the key that the package at URL brings
#     -n  versions are those of the packages NAME-X-Y; with no PACKAGE, the newest of them that is not above MAXIMUM is taken
# Prints one KEY=VALUE a line; a key may come more than once:
#   failed     what apt says when it cannot
#   there      a version that can be had
#   candidate  PACKAGE VERSION
#   new        a package that would be installed
#   held       a package on hold that would have to change
#   short      FOLDER MEGABYTES_NEEDED MEGABYTES_FREE, of each file system that would be full
set -u
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
lines='' key='' sha256='' name='' maximum=''
while getopts l:k:s:n:m: option; do
    case $option in
        l) lines="$lines$OPTARG
" ;;
        k) key=$OPTARG ;;
        s) sha256=$OPTARG ;;
        n) name=$OPTARG ;;
        m) maximum=$OPTARG ;;
        *) exit 64 ;;
    esac
done
shift $((OPTIND - 1))

folder=$(mktemp -d /var/tmp/cuda-toolkit.XXXXXX)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
mkdir -p "$folder/lists/partial" "$folder/parts"
cp /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources "$folder/parts/" 2>/dev/null
# What is there already need not be fetched again.
cp /var/lib/apt/lists/*_* "$folder/lists/" 2>/dev/null

fail() {
    # One line, from its first error on.
    sed -n '/^E:/,$p' "$folder/said" >"$folder/errors"
    [ -s "$folder/errors" ] || cp "$folder/said" "$folder/errors"
    echo "failed=$(tr -s '\n ' ' ' <"$folder/errors")"
    exit 0
}

if [ -n "$key" ]; then
    /usr/lib/apt/apt-helper -q download-file "$key" "$folder/keyring.deb" "SHA256:$sha256" >"$folder/said" 2>&1 || fail
    dpkg-deb --fsys-tarfile "$folder/keyring.deb" | tar -xO ./usr/share/keyrings/cuda-archive-keyring.gpg >"$folder/key.gpg"
fi
printf '%s' "$lines" | sed "s|@KEY@|$folder/key.gpg|" >"$folder/parts/rehearsal.list"

cat >"$folder/apt.conf" <<CONF
Dir::State::lists "$folder/lists";
Dir::Etc::SourceParts "$folder/parts";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Debug::NoLocking "true";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
apt_get() {
    apt-get -c "$folder/apt.conf" "$@"
}

apt_get -qq update >"$folder/said" 2>&1 || fail
if [ -n "$name" ]; then
    versions=$(apt-cache -c "$folder/apt.conf" pkgnames "$name-" | sed -nE "s/^$name-([0-9]+)-([0-9]+)\$/\1.\2/p" | sort -V)
    for version in $versions; do
        echo "there=$version"
    done
    if [ $# -eq 0 ]; then
        # Versions up to the maximum stand before it; without one, all do.
        chosen=$(printf '%s\n' "$versions" ${maximum:+"$maximum"} | sort -V |
            awk -v maximum="$maximum" -v all=" $(echo "$versions" | tr '\n' ' ') " \
                'index(all, " " $0 " ") { newest = $0 } $0 == maximum { exit } END { print newest }')
        [ -n "$chosen" ] || { echo "no version of CUDA up to ${maximum:-any}" >"$folder/said"; fail; }
        set -- "$name-$(echo "$chosen" | tr . -)"
    fi
fi
for package in "$@"; do
    apt-cache -c "$folder/apt.conf" policy "$package" | sed -nE "s/^  Candidate: ([0-9].*)/candidate=$package \1/p"
done

apt_get --simulate install "$@" >"$folder/simulated" 2>"$folder/said"
status=$?
sed -nE 's/^Inst ([^ ]+).*/new=\1/p' "$folder/simulated"
awk '/^The following held packages will be changed/ { held = 1; next } /^[^ ]/ { held = 0 } held { for (i = 1; i <= NF; i++) print "held=" $i }' \
    "$folder/simulated"
[ $status -eq 0 ] || {
    ! grep -q 'held broken packages' "$folder/said" || apt-mark showhold | sed 's/^/held=/'
    sed -n '/unmet dependencies/,$p' "$folder/simulated" >>"$folder/said"
    fail
}

# megabytes 'Need to get …': apt's own number, rounded up. "0 B/1637 MB" is what is still to be fetched of all.
megabytes() {
    sed -nE "s|^$1 ([0-9.,]+) ([kMG]?)B.*|\1 \2|p" "$folder/sizes" | tr -d , |
        awk '{ print int($1 * ($2 == "G" ? 1000 : $2 == "M" ? 1 : $2 == "k" ? 0.001 : 0.000001) + 0.999) }'
}
# fits FOLDER MEGABYTES_NEEDED
fits() {
    free=$(df -B 1000000 --output=avail "$1" | tail -n 1 | tr -d ' ')
    [ "$2" -le "$free" ] || echo "short=$1 $2 $free"
}
apt_get --assume-no install "$@" >"$folder/sizes" 2>/dev/null
fetched=$(megabytes 'Need to get')
unpacked=$(megabytes 'After this operation,')
fetched=${fetched:-0} unpacked=${unpacked:-0}
archives=/var/cache/apt/archives
if [ "$(stat --format %d $archives)" = "$(stat --format %d /usr)" ]; then
    fits /usr $((fetched + unpacked))
else
    fits /usr "$unpacked"
    fits $archives "$fetched"
fi
