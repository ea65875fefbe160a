#!/bin/sh
# Fetches packages into apt's cache, so that nothing is taken away before they are there: fetch.sh NAME=VERSION…
# What no source has any more in that version is passed over. Fails in apt's own words.
set -eu
export LC_ALL=C
apt-get -qq -o APT::Update::Error-Mode=any update
cd /var/cache/apt/archives
for package; do
    [ -z "$(apt-get -qq --print-uris download "$package" 2>/dev/null)" ] ||
        apt-get -qq -o APT::Sandbox::User=root download "$package"
done
