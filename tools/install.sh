#!/usr/bin/env bash
#
# Installs the module from OUT into the module directory of nginx, below
# DESTDIR.

set -eu
cd "$(dirname "$0")/.."

OUT=${OUT:-build}
nginx=$(cat "$OUT/nginx-binary")

dir=$("$nginx" -V 2>&1 | sed -n 's/.* --modules-path=\([^ ]*\).*/\1/p')
prefix=$("$nginx" -V 2>&1 | sed -n 's/.* --prefix=\([^ ]*\).*/\1/p')

[ -n "$dir" ] || dir=${prefix:-/usr/local/nginx}/modules
dir=${DESTDIR:-}$dir

install -d "$dir"
install -m 644 "$OUT/ngx_http_atls_module.so" "$dir"
echo "installed $dir/ngx_http_atls_module.so"
