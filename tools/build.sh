#!/usr/bin/env bash
#
# Builds the module in OUT, with a copy of an nginx source tree, which is not
# changed.  Only changed files are rebuilt.
#
#     OUT         build directory                         build
#     NGINX_SRC   nginx source tree; empty: Debian's nginx-dev of the installed
#                 nginx, which cannot build nginx itself
#     STATIC      1: build nginx with the module, instead of a .so
#     NGINX_OPTIONS   options of nginx's configure; default: the previous ones
#                 of the tree, or those below
#     CC, CFLAGS, LDFLAGS
#     MODULE_CFLAGS   for the module's files only
#
# OUT/nginx-binary has the name of the nginx binary that the module is for.

set -eu
cd "$(dirname "$0")/.."

project=$PWD
OUT=${OUT:-build}
NGINX_SRC=${NGINX_SRC:-}
STATIC=${STATIC:-}
CC=${CC:-cc}
CFLAGS=${CFLAGS:-'-g -O2'}
LDFLAGS=${LDFLAGS:-}
MODULE_CFLAGS=${MODULE_CFLAGS:-}

src=$NGINX_SRC
tree=$OUT/nginx
module=ngx_http_atls_module.so


die() {
    echo "build: $*" >&2
    exit 1
}


# Sets flags[].

options() {
    if [ -n "${NGINX_OPTIONS:-}" ]; then
        eval "flags=( $NGINX_OPTIONS )"

    elif [ -f "$src/conf_flags" ]; then

        # those of Debian's nginx since 1.30

        if grep -q dpkg-buildflags "$src/conf_flags" \
            && ! command -v dpkg-buildflags >/dev/null
        then
            echo "build: dpkg-dev is not installed" >&2
            exit 1
        fi

        # shellcheck disable=SC1091
        . "$src/conf_flags"
        flags=( "${NGX_CONF_FLAGS[@]}" )

    elif [ -f "$src/objs/ngx_auto_config.h" ]; then
        eval "flags=( $(sed -n 's/^#define NGX_CONFIGURE "\(.*\)"$/\1/p' \
                        "$src/objs/ngx_auto_config.h" | sed 's/\\"/"/g') )"

    else
        flags=( --with-compat --with-debug --with-threads
                --with-http_ssl_module --with-http_v2_module
                --with-http_realip_module --with-http_auth_request_module
                --with-http_slice_module --with-http_stub_status_module
                --with-http_gunzip_module --with-http_gzip_static_module
                --with-http_sub_module --with-http_addition_module
                --with-http_dav_module --with-http_mp4_module
                --with-http_flv_module )

        [ ! -d "$src/src/http/v3" ] || flags+=( --with-http_v3_module )
    fi
}


# All inputs of the configuration: it is repeated only if they change.  The
# absolute path of this directory is one of them.

fingerprint() {
    printf '%s\n' "$project" "$src" "$STATIC" "$CC" "$CFLAGS" "$LDFLAGS" \
        "$MODULE_CFLAGS" "${flags[@]}"
    "$CC" --version | head -n 1
    cat config config.make | cksum

    # names, sizes and times: a tree may be large
    find "$src/auto" "$src/src" "$src/configure" -type f \
        -printf '%P %s %T@\n' 2>/dev/null | sort | cksum
}


copy_tree() {
    rm -rf "$tree"
    mkdir -p "$tree"

    ( cd "$src" && find . -mindepth 1 -maxdepth 1 \
          ! -name objs ! -name .git ! -name .hg ! -name debian \
          ! -name Makefile -print0 ) \
        | tar -C "$src" --null -T - -cf - | tar -C "$tree" -xf -
}


configure_tree() {
    script=configure
    [ -f "$tree/$script" ] || script=auto/configure

    add=--add-dynamic-module
    [ -z "$STATIC" ] || add=--add-module

    log=$project/$OUT/configure.log

    # CFLAGS in the environment would replace nginx's own, with their -Werror

    ( cd "$tree" && env -u CC -u CFLAGS -u LDFLAGS \
          bash "$script" "${flags[@]}" --with-cc="$CC" \
          --with-cc-opt="$CFLAGS" --with-ld-opt="$LDFLAGS" \
          "$add=$project" >"$log" 2>&1 ) \
        || { tail -n 20 "$log" >&2; die "nginx's configure failed"; }
}


configure() {
    options
    new=$(fingerprint)

    if [ -f "$OUT/fingerprint" ] && [ "$(cat "$OUT/fingerprint")" = "$new" ]
    then
        return
    fi

    echo "configuring nginx in $tree"
    rm -f "$OUT/fingerprint"
    copy_tree
    configure_tree
    printf '%s\n' "$new" >"$OUT/fingerprint"
}


run_make() {
    # variables of our own command line would override those of nginx's Makefile

    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
        make -C "$tree" -f objs/Makefile -j "$(nproc)" --no-print-directory \
        "$@" >"$OUT/make.log" 2>&1 \
        || { cat "$OUT/make.log" >&2; die "compilation failed"; }
}


compile() {
    cflags=$(sed -n 's/^CFLAGS = *//p' "$tree/objs/Makefile")

    if [ -n "$NGINX_SRC" ]; then
        run_make binary
        nginx=$project/$tree/objs/nginx
    else
        nginx=$(command -v nginx || echo /usr/sbin/nginx)
    fi

    if [ -z "$STATIC" ]; then
        run_make modules CFLAGS="$cflags $MODULE_CFLAGS"
        cmp -s "$tree/objs/$module" "$OUT/$module" \
            || install -m 644 "$tree/objs/$module" "$OUT/$module"
        echo "$OUT/$module"
    else
        rm -f "$OUT/$module"
        echo "$tree/objs/nginx"
    fi

    echo "$nginx" >"$OUT/nginx-binary"
}


[ -n "$NGINX_SRC" ] || [ -z "$STATIC" ] || die "a static build needs NGINX_SRC"
[ -n "$src" ] || src=$(tools/nginx-headers.sh)
[ -d "$src/auto" ] || die "no nginx source in $src"

mkdir -p "$OUT"
OUT=$(realpath --relative-to=. "$OUT")
tree=$OUT/nginx
configure
compile
