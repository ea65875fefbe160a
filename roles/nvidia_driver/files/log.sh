#!/bin/sh
# The end of the compiler's log of the last module that DKMS tried to make for NVIDIA's driver; nothing where there is none.
find /var/lib/dkms -path '*nvidia*' -name make.log -exec ls -t {} + 2>/dev/null | head -n 1 | while IFS= read -r log; do
    echo "$log ends with:"
    tail -n 25 "$log"
done
