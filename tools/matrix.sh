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

project=$PWD
failed=


# The Debian archive of this machine.

archive() {
    apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' \
            'Created-By: Packages' \
        | awk '$1 == "Debian" && $2 == "main" { print $3; exit }'
}


bootstrap() {
    suite=$1 root=$2

    [ -e "$root/.ready" ] && return
    command -v debootstrap >/dev/null || {
        echo "matrix: debootstrap is needed: apt-get install debootstrap" >&2
        return 1
    }

    uri=$(archive)
    [ -n "$uri" ] || { echo "matrix: run apt-get update first" >&2; return 1; }

    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$suite" "$root" "$uri" \
        >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; return 1; }

    # services of installed packages must not be started: the network is shared

    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"

    # a mirror may be a snapshot with expired package lists

    echo 'Acquire::Check-Valid-Until "false";' \
        >"$root/etc/apt/apt.conf.d/99matrix"
    : >"$root/.ready"
}


# The working tree without build/, which has files for this machine.

copy_project() {
    dir=$1

    mkdir -p "$dir"
    find "$dir" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    tar -C "$project" --exclude=./build --exclude=./.git -cf - . \
        | tar -C "$dir" -xf -
}


# The namespaces remove mounts and processes.

run_tests() {
    root=$1

    unshare --mount --pid --fork --kill-child bash -eu -c '
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        cp -L /etc/resolv.conf /etc/hosts "$0/etc/" || :
        chroot "$0" /usr/bin/env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            DEBIAN_FRONTEND=noninteractive TESTS="${TESTS:-t}" \
            JOBS="${JOBS:-$(nproc)}" sh -c "command -v make >/dev/null \
                       || apt-get install -y --no-install-recommends make
                   cd /project && make test && nginx -V 2>&1 | head -n 3"
        ' "$root"
}


[ $# -gt 0 ] || set -- trixie sid

for suite; do
    root=$project/build/matrix/$suite
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
