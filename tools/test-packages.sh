#!/usr/bin/env bash
#
# Builds the Debian packages on other Debian releases, installs, uses and purges
# them, in minimal chroots below build/packages/SUITE, as root.  The packages
# are left in build/packages/SUITE/debs.
#
#     tools/test-packages.sh [suite ...]          default: bookworm trixie

set -eu
cd "$(dirname "$0")/.."
. tools/chroot.sh

top=$PWD/build/packages
failed=


# A new copy of the minimal system of the suite.

fresh() {
    suite=$1 root=$2

    rm -rf "$root"
    bootstrap "$suite" "$top/$suite/base" \
        && cp -a --reflink=auto "$top/$suite/base" "$root"
}


build() {
    suite=$1
    root=$top/$suite/build

    fresh "$suite" "$root" && copy_project "$root/project" || return

    in_chroot "$root" '
        cd /project
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends make >/dev/null
        make deb

        apt-get install -qq -y --no-install-recommends lintian >/dev/null
        lintian --allow-root --fail-on error,warning build/deb/*.changes' \
        || return

    rm -rf "$top/$suite/debs"
    cp -r "$root/project/build/deb" "$top/$suite/debs"
}


# Prints the files that no package has, without those that apt, dpkg and other
# packages write.  A directory and its link, as /lib and /usr/lib, are the same.

UNOWNED='unowned() {
    { find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /tmp \
          -o -path /run -o -path /packages -o -path /var/lib/dpkg \
          -o -path /var/lib/apt -o -path /var/cache -o -path /var/log \
          -o -path /etc/ssl/certs \) -prune -o -print
      cat /var/lib/dpkg/info/*.list /var/lib/dpkg/info/*.list
    } | sed -E "s,^/(lib[0-9]*|bin|sbin)(/|$),/usr/\1\2," | sort | uniq -u
}
'

# In the chroot, /packages has the packages and the test.  What the packages
# depend on is installed before them, since it leaves files, too.

install_and_purge() {
    suite=$1
    root=$top/$suite/installed

    fresh "$suite" "$root" || return

    mkdir "$root/packages"
    cp "$top/$suite/debs/"*.deb debian/tests/installed "$root/packages"
    rm -f "$root/packages/"*-dbgsym_*

    in_chroot "$root" "$UNOWNED"'
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends gcc libc6-dev pkgconf \
            >/dev/null

        apt-get install -s -y /packages/*.deb \
            | sed -n "s/^Inst \([^ ]*\) .*/\1/p" | grep -v atls \
            | xargs apt-get install -qq -y >/dev/null
        nginx -t -q
        unowned >/packages/before

        apt-get install -qq -y /packages/*.deb >/dev/null
        dpkg --verify atls libatls0 libatls-dev libnginx-mod-http-atls' \
        || return

    NETWORK=none in_chroot "$root" /packages/installed || return

    in_chroot "$root" "$UNOWNED"'
        apt-get purge -qq -y atls libatls0 libatls-dev libnginx-mod-http-atls \
            >/dev/null
        unowned >/packages/after
        comm -13 /packages/before /packages/after >/packages/left
        find / -xdev -path /packages -prune -o -name "*atls*" -print \
            >>/packages/left
        dpkg-query -W -f "\${Package} \${db:Status-Abbrev}\n" \
            | grep -v " ii " >>/packages/left || :
        [ ! -s /packages/left ] || { cat /packages/left; exit 1; }
        nginx -t'
}


for command in debootstrap ip; do
    command -v $command >/dev/null || {
        echo "$command is needed: apt-get install debootstrap iproute2" >&2
        exit 1
    }
done

[ $# -gt 0 ] || set -- bookworm trixie

for suite; do
    echo "== $suite"

    if build "$suite" && install_and_purge "$suite"; then
        echo "== $suite: passed"
    else
        echo "== $suite: FAILED"
        failed="$failed $suite"
    fi
done

[ -z "$failed" ]
