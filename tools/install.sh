#!/usr/bin/env bash
#
# Installs the module from OUT for the nginx that will load it, or removes it.
#
#     tools/install.sh install | remove
#
#     OUT             build directory                             build
#     NGINX_BINARY    nginx that will load the module; default: the installed
#                     one; if there is none, the one in OUT
#     DESTDIR         directory below which files are installed
#
# nginx is asked where its modules are, and whether it can load this one.  If
# its configuration includes the files in modules-enabled, as that of Debian
# does, a file with the load_module directive is added to modules-available.

set -eu
cd "$(dirname "$0")/.."

OUT=${OUT:-build}
DESTDIR=${DESTDIR:-}
NGINX_BINARY=${NGINX_BINARY:-}
module=ngx_http_atls_module.so


die() {
    echo "install: $*" >&2
    exit 1
}


# Sets nginx.

find_nginx() {
    if [ -n "$NGINX_BINARY" ]; then
        nginx=$NGINX_BINARY
        [ -x "$nginx" ] || die "$nginx cannot be run"
        return
    fi

    for nginx in "$(command -v nginx || :)" /usr/sbin/nginx \
                 /usr/local/sbin/nginx /usr/local/nginx/sbin/nginx \
                 "$(cat "$OUT/nginx-binary" 2>/dev/null || :)"
    do
        [ ! -x "$nginx" ] || return 0
    done

    die "nginx is not installed; set NGINX_BINARY=file"
}


# The value of an option of nginx's configure, as an absolute path.

path_option() {
    value=$(echo "$info" | sed -n "s|.* --$1=\([^ ]*\).*|\1|p")
    value=${value:-$2}
    value=${value%/}

    case $value in
        /*) echo "$value" ;;
        *)  echo "$prefix/$value" ;;
    esac
}


# Sets the paths of the module, of nginx.conf, and with modules-enabled those of
# the file with the directive and of the link to it.

ask_nginx() {
    info=$("$nginx" -V 2>&1)
    prefix=$(path_option prefix /usr/local/nginx)
    conf=$(path_option conf-path conf/nginx.conf)
    dir=$(path_option modules-path modules)
    available=
    link=

    enabled=$(sed -n 's|^ *include  *\(/.*/modules-enabled\)/\*\.conf;.*|\1|p' \
                  "$conf" 2>/dev/null | head -n 1)

    if [ -n "$enabled" ]; then
        available=$prefix/modules-available/mod-http-atls.conf
        link=$enabled/50-mod-http-atls.conf
    fi
}


# The directive; in it, paths are relative to the prefix.

directive() {
    if [ "$(realpath -m "$prefix/modules")" = "$(realpath -m "$dir")" ]; then
        echo "load_module modules/$module;"
    else
        echo "load_module $dir/$module;"
    fi
}


check_module() {
    [ -e "$OUT/$module" ] || die "$OUT/$module does not exist; run make module"

    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT

    printf '%s\n' "load_module $(realpath "$OUT")/$module;" \
        "pid $tmp/pid;" 'events { }' >"$tmp/nginx.conf"

    "$nginx" -t -q -e stderr -p "$tmp" -c "$tmp/nginx.conf" >"$tmp/out" 2>&1 \
        || misfit
}


# Why nginx does not load the module, and how to build one that it does.

misfit() {
    sed -n 's|^.*\[emerg\] [0-9#: ]*\(.*\) in .*/nginx\.conf:1$|install: \1|p' \
        "$tmp/out" >&2

    version=$(echo "$info" \
              | sed -n 's|^nginx version: [^/]*/\([0-9.]*\).*|\1|p')
    source=$(sed -n 's|^#define NGINX_VERSION  *"\(.*\)"|\1|p' \
                 "$OUT/nginx/src/core/nginx.h")

    [ "$version" = "$source" ] || die \
        "$nginx is version $version, but the module was built for $source:" \
        "use the source of nginx $version (make NGINX_SRC=dir)," \
        "or specify another nginx (NGINX_BINARY=file)"

    for binary in "$nginx" "$(cat "$OUT/nginx-binary")"; do
        "$binary" -V 2>&1 | grep -q -- --with-compat \
            || echo "install: $binary was built without --with-compat" >&2
    done

    die "build the module with the configure arguments of $nginx:" \
        "make NGINX_SRC=dir NGINX_OPTIONS=\"\$($nginx -V 2>&1" \
        "| sed -n 's/^configure arguments: //p')\""
}


install_module() {
    check_module
    install -d "$DESTDIR$dir"
    install -m 644 "$OUT/$module" "$DESTDIR$dir"
    echo "installed $DESTDIR$dir/$module"

    if [ -n "$available" ]; then
        install -d "$DESTDIR$(dirname "$available")"
        directive >"$DESTDIR$available"
        echo "installed $DESTDIR$available"
    fi

    [ -n "$DESTDIR" ] || next_step
}


next_step() {
    if [ -z "$available" ]; then
        echo "next: add to the beginning of $conf:"
        directive
    elif [ ! -e "$link" ]; then
        echo "next: ln -s $available $link"
    else
        echo "next: restart nginx"
    fi
}


# A link to a file that does not exist would be an error for nginx.

remove_module() {
    if [ -n "$link" ] \
        && [ "$(readlink "$DESTDIR$link" || :)" = "$available" ]
    then
        rm "$DESTDIR$link"
        echo "removed $DESTDIR$link"
    fi

    for file in "$available" "$dir/$module"; do
        if [ -n "$file" ] && [ -e "$DESTDIR$file" ]; then
            rm "$DESTDIR$file"
            echo "removed $DESTDIR$file"
        fi
    done
}


find_nginx
ask_nginx

case ${1:-} in
    install) install_module ;;
    remove)  remove_module ;;
    *)       die "install or remove?" ;;
esac
