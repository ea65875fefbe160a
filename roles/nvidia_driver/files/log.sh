#!/bin/sh
# What the compiler has to say of the last module that DKMS failed to make for NVIDIA's driver; nothing where none has failed: DKMS moves the
# log of a module that was made out of the folder of the build.
find /var/lib/dkms -path '*nvidia*/build/make.log' -exec ls -t {} + 2>/dev/null | head -n 1 | while IFS= read -r log; do
    echo "$log says:"
    grep -iE '(error:|fatal error|not found|no such file|warning: the compiler)' "$log" | head -n 5 | cut -c 1-300
    echo 'and ends with:'
    # Commands of the compiler are pages long and say nothing.
    grep -vE '^( *#|  *(x86_64|aarch64)-linux-gnu-)' "$log" | tail -n 10 | cut -c 1-300
done
