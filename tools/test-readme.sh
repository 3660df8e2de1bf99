#!/usr/bin/env bash
#
# Runs the commands of README.md unchanged in new systems, in chroots in
# build/readme, as root: those of the installation alone, and all of them.
#
#     tools/test-readme.sh [suite ...]            default: bookworm trixie
#
# What requires no packages is run without a network: ports of nginx are not
# those of this machine.

set -eu
cd "$(dirname "$0")/.."
. tools/chroot.sh

top=$PWD/build/readme
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
failed=


# A new copy of the minimal system of the suite, in which apt-get does not ask.

fresh() {
    local suite=$1 root=$2

    rm -rf "$root"
    bootstrap "$suite" "$top/$suite/base" \
        && cp -a --reflink=auto "$top/$suite/base" "$root" \
        && echo 'APT::Get::Assume-Yes "true";' \
            >"$root/etc/apt/apt.conf.d/99yes" \
        && copy_project "$root/project"
}


# Runs a part of the README, and then the commands on stdin.  "none" fails if
# its input is not empty.

run() {
    local root=$1 part=$2

    {
        tools/readme.pl "$part"
        echo 'none() { ! grep .; }'
        cat
    } >"$root/readme.sh"

    in_chroot "$root" PATH="$path" 'cd /project; sh -e /readme.sh'
}


# make demo neither starts nor enables services, which would be started
# otherwise, and nothing is left.

demo() {
    rm "$1/usr/sbin/policy-rc.d"
    run "$1" demo <<'END'
ls -l /proc/[0-9]*/exe 2>/dev/null | grep -E '/(nginx|haproxy)$' | none
find /etc/rc[2-5].d /etc/systemd/system -name 'S*nginx' -o -name 'S*haproxy' \
    -o -path '*.wants/nginx*' -o -path '*.wants/haproxy*' | none
find /usr/sbin -name 'policy-rc.d*' | none
dpkg-query -W default-jdk-headless squid-openssl 2>/dev/null | none
END
}


install() {
    run "$1" install </dev/null
}


# make uninstall removes everything.

use() {
    NETWORK=none run "$1" use <<'END'
service nginx stop
rm /etc/nginx/conf.d/atls*.conf
make uninstall
nginx -t
find / -xdev \( -path /project -o -path /proc -o -path /dev \) -prune \
    -o -iname '*atls*' -print | none
END
}


[ $# -gt 0 ] || set -- bookworm trixie

for suite; do
    root=$top/$suite/root
    echo "== $suite"

    if fresh "$suite" "$root" && install "$root" \
        && fresh "$suite" "$root" && demo "$root" && install "$root" \
        && use "$root"
    then
        echo "== $suite: passed"
    else
        echo "== $suite: FAILED"
        failed="$failed $suite"
    fi
done

[ -z "$failed" ]
