#!/bin/sh
# Stands for NVIDIA's nvcc @RELEASE@: knows its version, needs a host compiler, and makes a program that succeeds where the
# driver answers (0) and says that there is no device (2) where it does not. What is computed is not checked here.
set -eu
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
[ -r "$source" ] || { echo "nvcc fatal   : Could not open input file '$source'" >&2; exit 1; }
printf '#!/bin/sh\nnvidia-smi -L >/dev/null 2>&1 || exit 2\n' >"$output"
chmod 755 "$output"
