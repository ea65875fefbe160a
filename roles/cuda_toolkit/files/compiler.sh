#!/bin/sh
# Which host compiler a version of CUDA takes: compiler.sh /usr/local/cuda-VERSION. Changes nothing. Prints one KEY=VALUE a line:
#   limit    newest major version of GCC that this CUDA accepts, by its own header; absent where it sets none
#   use      the program that it takes: g++ where the system's will do, otherwise g++-N
#   install  package that is needed for that and not there yet; may come twice
set -u
export LC_ALL=C
header=$(find "$1" -path '*/crt/host_config.h' -print -quit)
limit=$(sed -nE 's/^#if[[:space:]]+__GNUC__ > ([0-9]+).*/\1/p' "${header:-/dev/null}" | head -n 1)
[ -z "$limit" ] || echo "limit=$limit"

# fits MAJOR
fits() {
    [ -n "$1" ] && { [ -z "$limit" ] || [ "$1" -le "$limit" ]; }
}
can_be_had() {
    apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [0-9]'
}

# One there must be, whatever its version: nvcc asks it before it looks into its own profile.
if ! command -v g++ >/dev/null; then
    if command -v dnf >/dev/null; then
        # RHEL's kin have one only.
        printf 'use=g++\ninstall=gcc-c++\n'
        exit 0
    fi
    echo install=g++
    # Its version has an epoch: 4:14.2.0-1.
    system=$(apt-cache policy g++ | sed -nE 's/^  Candidate: ([0-9]+:)?([0-9]+).*/\2/p')
else
    system=$(g++ -dumpversion | cut -d . -f 1)
fi
if fits "$system"; then
    echo use=g++
    exit 0
fi
major=${limit:-20}
while [ "$major" -ge 7 ]; do
    if command -v "g++-$major" >/dev/null; then
        echo "use=g++-$major"
        exit 0
    fi
    if can_be_had "g++-$major"; then
        printf 'use=g++-%s\ninstall=g++-%s\n' "$major" "$major"
        exit 0
    fi
    major=$((major - 1))
done
