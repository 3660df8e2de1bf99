#!/usr/bin/env bash
#
# Installs missing Debian packages.  Says which, and how large they are.  If all
# are installed, apt is not run.  Servers are neither started nor enabled.  For
# the tests, also packages of npm, in build/npm; if this fails, the tests that
# require them are skipped.
#
#     tools/deps.sh [demo | deb | test | package] ...     default: test
#
#     demo        what "make demo" requires
#     deb         what "make deb" requires
#     test        what the tests require
#     NGINX_SRC   nginx source tree; nginx is not installed

set -eu
cd "$(dirname "$0")/.."

# the module, the client, the programs of the demonstration

demo=(
    gcc libc6-dev make libssl-dev libpcre2-dev zlib1g-dev libhiredis-dev
    libcurl4-openssl-dev libcjson-dev pkg-config
    perl openssl libnet-ssleay-perl libio-socket-ssl-perl
)

deb=(
    build-essential debhelper nginx-dev libhiredis-dev
    libcjson-dev libcoap3-dev libcurl4-openssl-dev libssl-dev pkg-config
    zlib1g-dev
)

test=(
    "${demo[@]}"
    curl libgnutls28-dev libfcgi-perl python3 mandoc gnutls-bin
    bash-completion zsh fish
    git wget python3-requests chromium-headless-shell       # under atls run
    node-ws python3-websockets                              # WebSocket clients
    libnss3-tools                                           # Chromium's CAs
    squid-openssl haproxy                                   # middleboxes
    stunnel4                                                # to compare with
    redis-server                                            # the store
    prometheus                                              # and promtool
    libmbedtls-dev libwolfssl-dev default-jdk-headless nodejs   # t/interop.t
    libcoap3-dev libcoap3-bin                               # the gateway, --via
    python3-cryptography                                    # t/exported-peers.t
)

npm=(
    http_ece@1.2.1                                          # t/exported-peers.t
    koffi@3.3.4                     # docs/examples, t/client-js-native.t
    coap@1.5.0                                              # t/gateway-devices.t
)

# another middlebox, not in Debian 13

if grep -qs '^VERSION_CODENAME=trixie$' /etc/os-release; then
    demo+=( haproxy )
else
    demo+=( mitmproxy )
    test+=( mitmproxy )
fi

# another client of CoAP, and one of HTTP/3, not in Debian 12

if ! grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release; then
    test+=( python3-aiocoap python3-aioquic )
fi

# newer versions of nginx-dev use dpkg-dev for flags, but do not depend on it

if ! grep -qs '^VERSION_CODENAME=\(bookworm\|trixie\)$' /etc/os-release; then
    demo+=( dpkg-dev )
    test+=( dpkg-dev )
fi

# packages of Node.js that are not from Debian contain npm

command -v npm >/dev/null || test+=( npm )

if [ -z "${NGINX_SRC:-}" ]; then
    demo+=( nginx )
    test+=( nginx )
fi

packages=()

tests=
[ $# -gt 0 ] || set -- test

for set; do
    case $set in
        demo) packages+=( "${demo[@]}" ) ;;
        deb)  packages+=( "${deb[@]}" ) ;;
        test) packages+=( "${test[@]}" )
              tests=yes ;;
        *)    packages+=( "$set" ) ;;
    esac
done


say() {
    echo "deps: $*" | fold -s -w 80 | sed 's/ *$//'
}


# Sets missing[].

find_missing() {
    missing=()

    for package in "${packages[@]}"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
                     2>/dev/null || :)
        [ "$status" = installed ] || missing+=( "$package" )
    done
}


# Sets plan: lines with package=version of all packages to install.

make_plan() {
    plan=$(LC_ALL=C apt-get -s --no-install-recommends install "$@" \
               2>/dev/null \
           | sed -n 's/^Inst \([^ ]*\)[^(]*(\([^ ]*\) .*/\1=\2/p')

    [ -n "$plan" ]
}


# Some packages are not in all releases.

remove_unknown() {
    local known=()

    for package in "${missing[@]}"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            known+=( "$package" )
        else
            say "no package $package in this release" >&2
        fi
    done

    missing=( ${known[@]+"${known[@]}"} )
}


announce() {
    say "installing ${missing[*]}"

    # shellcheck disable=SC2086
    apt-cache show $plan | awk '
        /^Package:/        { count++ }
        /^Size:/           { download += $2 / 1e6 }
        /^Installed-Size:/ { disk += $2 / 1e3 }
        END { printf "deps: with dependencies %d packages, ", count
              printf "%.1f MB to download, %.1f MB on disk\n", download, disk }'
}


as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || {
            say "run as root: $*" >&2
            exit 1
        }

        sudo "$@"
    fi
}


update() {
    say 'updating the package lists'
    as_root apt-get update -qq
}


# Package lists may be missing, or older than the archive.

install_missing() {
    make_plan "${missing[@]}" || {
        update
        remove_unknown
        [ ${#missing[@]} -gt 0 ] || return 0
        make_plan "${missing[@]}" || {
            apt-get -s --no-install-recommends install "${missing[@]}" >&2
            exit 1
        }
    }

    announce
    as_root tools/apt-install.sh "${missing[@]}" || {
        update
        as_root tools/apt-install.sh "${missing[@]}"
    }
}


# Without the registry, there must be no long wait.

install_npm() {
    for package in "${npm[@]}"; do
        [ -d "build/npm/node_modules/${package%@*}" ] && continue

        say "installing $package by npm"
        npm install --silent --no-audit --no-fund --ignore-scripts \
            --fetch-retries=0 --fetch-timeout=20000 \
            --prefix build/npm "$package" >/dev/null 2>&1 ||
            say "cannot install $package, some tests are skipped" >&2
    done
}


find_missing
[ ${#missing[@]} -eq 0 ] || install_missing
[ -z "$tests" ] || install_npm
