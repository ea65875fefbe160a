#!/bin/sh
# Stands for NVIDIA's nvcc @RELEASE@: knows its version, needs a host compiler, and makes a program that succeeds where the
# driver answers (0) and says that there is no device (2) where it does not. What is computed is not checked here. As the real
# one does, it looks for g++ where its nvcc.profile says, and refuses one that is newer than its host_config.h allows.
set -eu
here=$(dirname "$(readlink -f "$0")")
while read -r name sign folders; do
    [ "$name $sign" != 'PATH +=' ] || PATH="$folders$PATH"
done <"$here/nvcc.profile"
output=a.out source=''
while [ $# -gt 0 ]; do
    case $1 in
        --version | -V)
            echo "nvcc: NVIDIA (R) Cuda compiler driver"
            echo "Cuda compilation tools, release @RELEASE@, V@VERSION@"
            exit 0
            ;;
        -o)
            output=$2
            shift
            ;;
        -*) ;;
        *) source=$1 ;;
    esac
    shift
done
[ -n "$source" ] || { echo "nvcc fatal   : No input files specified; use option --help for more information" >&2; exit 1; }
command -v g++ >/dev/null || { echo "nvcc fatal   : Failed to preprocess host compiler properties." >&2; exit 1; }
limit=$(sed -n 's/^#if __GNUC__ > //p' "$here/../targets/x86_64-linux/include/crt/host_config.h")
[ "$(g++ -dumpversion | cut -d . -f 1)" -le "$limit" ] || {
    echo "error: -- unsupported GNU version! gcc versions later than $limit are not supported!" >&2
    exit 1
}
[ -r "$source" ] || { echo "nvcc fatal   : Could not open input file '$source'" >&2; exit 1; }
printf '#!/bin/sh\nnvidia-smi -L >/dev/null 2>&1 || exit 2\n' >"$output"
chmod 755 "$output"
