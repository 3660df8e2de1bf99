#!/usr/bin/env bash
#
# Links t/bench/table.c with an nginx that has the module inside, but for its
# main(): what is measured is what nginx runs.
#
#     TREE        where that nginx was built      build/static/nginx
#     OUT         the program                     build/bench/table

set -eu
cd "$(dirname "$0")/../.."

project=$PWD
TREE=${TREE:-build/static/nginx}
OUT=${OUT:-build/bench/table}

mkdir -p "$(dirname "$OUT")"
dir=$(cd "$(dirname "$OUT")" && pwd)
out=$dir/$(basename "$OUT")

cd "$TREE"

# nginx's Makefile knows the flags, and what is to be linked

variables() {
    sed -n "/^$1 *=/,/[^\\\\]\$/p" objs/Makefile
}

cat >"$dir/Makefile" <<EOM
$(variables CC)
$(variables CFLAGS)
$(variables CORE_INCS)
$(variables HTTP_INCS)
LINKED = $(sed -n '/(LINK) -o objs\/nginx/,/[^\\]$/{
                   s|.*-o objs/nginx||; s|objs/src/core/nginx.o||; p }' \
               objs/Makefile)

$out: $project/t/bench/table.c objs/nginx
	\$(CC) -c \$(CFLAGS) -Dmain=ngx_main \$(CORE_INCS) \\
	    -o $dir/nginx.o src/core/nginx.c
	\$(CC) \$(CFLAGS) \$(CORE_INCS) \$(HTTP_INCS) -I $project/src \\
	    -o \$@ $project/t/bench/table.c $dir/nginx.o \$(LINKED)
EOM

env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
    make -f "$dir/Makefile" --no-print-directory >"$dir/make.log" 2>&1 \
    || { cat "$dir/make.log" >&2; exit 1; }
