#!/usr/bin/env bash
#
# Prints the directory with the headers of the installed nginx.  If Debian's
# nginx-dev is not installed, it is unpacked into build/nginx-dev: the package
# depends on a hundred others, which are not required to build this module.

set -eu
cd "$(dirname "$0")/.."

installed=/usr/share/nginx/src
dir=build/nginx-dev
unpacked=$dir$installed


# Headers of another version are useless.

fits() {
    [ "$(sed -n 's/^#define NGINX_VERSION  *"\(.*\)"/\1/p' \
             "$1/src/core/nginx.h" 2>/dev/null)" = "$version" ]
}


# The version of the installed package, and those of the archive.

versions() {
    dpkg-query -W -f '${Version}\n' nginx 2>/dev/null || :
    apt-cache show nginx-dev 2>/dev/null | sed -n 's/^Version: //p'
}


unpack() {
    rm -rf "$dir"
    mkdir -p "$dir"

    for package in $(versions | grep "^$version-" | uniq); do
        ( cd "$dir" && apt-get download -qq "nginx-dev=$package" \
              && dpkg-deb -x nginx-dev_*.deb . ) >"$dir/log" 2>&1 && return
    done

    rm -rf "$dir"
    echo "nginx-headers: nginx-dev of the installed nginx, $version, is not" \
         "available; use the source, make NGINX_SRC=dir" >&2
    exit 1
}


nginx=$(command -v nginx || echo /usr/sbin/nginx)

[ -x "$nginx" ] || {
    echo "nginx-headers: nginx is not installed; install it, or set" \
         "NGINX_SRC=dir" >&2
    exit 1
}

version=$("$nginx" -v 2>&1 | sed -n 's|.*nginx/\([0-9.]*\).*|\1|p')

if fits "$installed"; then
    echo "$installed"
else
    fits "$unpacked" || unpack
    echo "$PWD/$unpacked"
fi
