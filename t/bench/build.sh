#!/usr/bin/env bash
#
# Links a program with the object files of an nginx that includes the module.
#
#     TREE        where that nginx was built      build/static/nginx
#     OUT         the program                     build/bench/table
#
# table.c has a main(); the one of nginx is renamed.  Both programs wrap
# functions of the module.

set -eu
cd "$(dirname "$0")/../.."

project=$PWD
TREE=${TREE:-build/static/nginx}
OUT=${OUT:-build/bench/table}

mkdir -p "$(dirname "$OUT")"
dir=$(cd "$(dirname "$OUT")" && pwd)
name=$(basename "$OUT")
out=$dir/$name

case $name in
    table) main=-Dmain=ngx_main
           link=-Wl,--wrap=ngx_http_atls_clock
           link="$link -Wl,--wrap=ngx_http_atls_clock_since"
           link="$link -Wl,--wrap=ngx_shmtx_lock"
           link="$link -Wl,--wrap=ngx_shmtx_unlock" ;;
    fill)  main= link=-Wl,--wrap=ngx_http_atls_socket_init_worker ;;
    *)     echo "bench: no program $name" >&2; exit 1 ;;
esac

cd "$TREE"

# flags, and the linker options, from nginx's Makefile

variables() {
    sed -n "/^$1 *=/,/[^\\\\]\$/p" objs/Makefile
}

cat >"$dir/$name.mk" <<EOM
$(variables CC)
$(variables CFLAGS)
$(variables CORE_INCS)
$(variables HTTP_INCS)
LINKED = $(sed -n '/(LINK) -o objs\/nginx/,/[^\\]$/{
                   s|.*-o objs/nginx||; s|objs/src/core/nginx.o||; p }' \
               objs/Makefile)

$out: $project/t/bench/$name.c objs/nginx
	\$(CC) -c \$(CFLAGS) $main \$(CORE_INCS) \\
	    -o $dir/$name-nginx.o src/core/nginx.c
	\$(CC) \$(CFLAGS) \$(CORE_INCS) \$(HTTP_INCS) -I $project/src $link \\
	    -o \$@ $project/t/bench/$name.c $dir/$name-nginx.o \$(LINKED)
EOM

env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
    make -f "$dir/$name.mk" --no-print-directory >"$dir/$name.log" 2>&1 \
    || { cat "$dir/$name.log" >&2; exit 1; }
