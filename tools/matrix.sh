#!/usr/bin/env bash
#
# Runs `make test` on other Debian releases, in chroots in build/matrix, to test
# other versions of nginx, OpenSSL and the compiler.
#
#     tools/matrix.sh [suite ...]                 default: trixie sid
#
#     TESTS       tests to run; default: all
#     JOBS        number of parallel tests

set -eu
cd "$(dirname "$0")/.."
. tools/chroot.sh

failed=


run_tests() {
    in_chroot "$1" TESTS="${TESTS:-t}" JOBS="${JOBS:-$(nproc)}" '
        command -v make >/dev/null \
            || apt-get install -y --no-install-recommends make
        cd /project
        make test
        nginx -V 2>&1 | head -n 3'
}


[ $# -gt 0 ] || set -- trixie sid

for suite; do
    root=$PWD/build/matrix/$suite
    echo "== $suite"

    if bootstrap "$suite" "$root" && copy_project "$root/project" \
        && run_tests "$root"
    then
        echo "== $suite: passed"
    else
        echo "== $suite: FAILED"
        failed="$failed $suite"
    fi
done

[ -z "$failed" ]
