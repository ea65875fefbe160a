#!/bin/sh
# Runs a container made of this host's own shell and libraries, so that nothing is pulled; with `gpu`, NVIDIA's tool in it
# must list as many GPUs as it does on the host. Leaves nothing behind.
set -eu
image=container-engine-proof:$$
folder=$(mktemp -d)
trap 'rm -rf "$folder"; docker image rm --force "$image" >/dev/null 2>&1 || true' EXIT

# Libraries of the shell and, where it is a program of the driver, of nvidia-smi, which is mounted into the container.
libraries=$(ldd /bin/sh /usr/bin/nvidia-smi 2>/dev/null | grep -o '/[^ :]*lib[^ :]*' | sort -u)
# shellcheck disable=SC2086  # a list of paths
tar --create --dereference --no-recursion --directory / --file "$folder/root.tar" etc tmp usr/bin bin/sh ${libraries} 2>/dev/null
docker import "$folder/root.tar" "$image" >/dev/null

run() {
    docker run --rm --pull never "$@"
}
[ "$(run "$image" /bin/sh -c 'echo it runs')" = 'it runs' ]
[ "${1:-}" = gpu ] || exit 0

found=$(run --device nvidia.com/gpu=all "$image" nvidia-smi -L)
[ "$(echo "$found" | grep -c '^GPU ')" = "$(nvidia-smi -L | grep -c '^GPU ')" ] || {
    echo "GPUs in the container: ${found:-none}. GPUs of the host: $(nvidia-smi -L)"
    exit 1
}
