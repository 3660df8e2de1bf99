#!/usr/bin/env bash
#
# Installs missing Debian packages for building and testing.  If all are
# installed, apt is not run.
#
#     tools/deps.sh [package ...]             additional packages

set -eu

# other TLS libraries, for t/interop.t

stacks=( libmbedtls-dev libwolfssl-dev default-jdk-headless nodejs )

packages=(
    gcc libc6-dev make
    nginx nginx-dev libssl-dev libpcre2-dev zlib1g-dev      # to build
    libcurl4-openssl-dev libcjson-dev pkg-config            # the client, too
    perl openssl curl libgnutls28-dev libnet-ssleay-perl libio-socket-ssl-perl
    libfcgi-perl python3 mandoc gnutls-bin                  # to test
    bash-completion zsh fish
    squid-openssl haproxy                                   # between the ends
    "${stacks[@]}"
    "$@"
)

# another middlebox, not in Debian 13

grep -q '^VERSION_CODENAME=trixie$' /etc/os-release || packages+=( mitmproxy )

missing=()

for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || :)
    [ "$status" = installed ] || missing+=( "$package" )
done

[ ${#missing[@]} -gt 0 ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null || {
        echo "deps: as root: apt-get install ${missing[*]}" >&2
        exit 1
    }
fi

install() {
    $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

echo "deps: installing ${missing[*]}"

# package lists may be missing or outdated

install "${missing[@]}" 2>/dev/null && exit

$sudo apt-get update -qq

# some packages are missing in some releases

there=()

for package in "${missing[@]}"; do
    if apt-cache show "$package" >/dev/null 2>&1; then
        there+=( "$package" )
    else
        echo "deps: no package $package in this release" >&2
    fi
done

[ ${#there[@]} -eq 0 ] || install "${there[@]}"
