#!/usr/bin/env bash
#
# Does what users do, in new systems with Debian releases, in chroots below
# build/system, as root.  The packages are left in build/system/SUITE/debs.
#
#     tools/test-system.sh path [suite ...]       default: bookworm trixie
#
#     readme      the commands of README.md, unchanged: those of the installation
#                 alone, and all of them except for the packages
#     packages    the Debian packages are built, and in another system installed,
#                 used and purged
#     newcomer    all commands of README.md in one system, and the service
#
# What requires no packages is run without a network: ports of nginx are not
# those of this machine.

set -eu
cd "$(dirname "$0")/.."
. tools/chroot.sh

user_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
failed=

# of the shell's "time"

TIMEFORMAT='== took %R seconds; CPU time: %U + %S seconds'

readme_path() {
    fresh "$suite" "$root" && no_questions && install \
        && fresh "$suite" "$root" && no_questions && demo && install && use \
        && uninstall
}


packages_path() {
    fresh "$suite" "$root" && build_packages \
        && fresh "$suite" "$root" && install_packages && test_installed \
        && test_service && test_gateway && purge
}


newcomer_path() {
    fresh "$suite" "$root" && no_questions && demo && install && use \
        && uninstall && readme_packages && use && test_service && purge
}


# The README, as its reader runs it, except that apt-get does not ask.

no_questions() {
    echo 'APT::Get::Assume-Yes "true";' >"$root/etc/apt/apt.conf.d/99yes"
}


# Runs a part of the README, and then the commands on stdin.  "none" fails if
# its input is not empty.

readme() {
    local part=$1

    {
        tools/readme.pl "$part"
        echo 'none() { ! grep .; }'
        cat
    } >"$root/readme.sh"

    time in_chroot "$root" PATH="$user_path" 'cd /project; sh -e /readme.sh'
}


# make demo neither starts nor enables services, which would be started
# otherwise, and nothing is left.

demo() {
    echo "== make demo"
    mv "$root/usr/sbin/policy-rc.d" "$root/policy-rc.d"

    readme demo <<'END' || return
ls -l /proc/[0-9]*/exe 2>/dev/null | grep -E '/(nginx|haproxy)$' | none
find /etc/rc[2-5].d /etc/systemd/system -name 'S*nginx' -o -name 'S*haproxy' \
    -o -path '*.wants/nginx*' -o -path '*.wants/haproxy*' | none
find /usr/sbin -name 'policy-rc.d*' | none
dpkg-query -W default-jdk-headless squid-openssl 2>/dev/null | none
END

    mv "$root/policy-rc.d" "$root/usr/sbin/policy-rc.d"
}


install() {
    echo "== make install"
    readme install </dev/null
}


readme_packages() {
    echo "== make deb"
    readme packages </dev/null
}


use() {
    echo "== the first requests"

    NETWORK=none readme use <<'END'
service nginx stop
rm /etc/nginx/conf.d/atls*.conf
END
}


uninstall() {
    echo "== make uninstall"

    in_chroot "$root" '
        cd /project
        make uninstall
        nginx -t
        '"$FILES"'
        ! files -iname "*atls*" | grep .'
}


# Lists files that match, without those of the project, and of this test.

FILES='files() {
    find / -xdev \( -path /project -o -path /proc -o -path /dev -o -path /sys \
        -o -path /packages \) -prune -o "$@" -print
}
'

# Prints the files that no package has, without those that apt, dpkg and other
# packages write.  A directory and its link, as /lib and /usr/lib, are the same.

UNOWNED=$FILES'unowned() {
    { files \( -path /tmp -o -path /run -o -path /var/lib/dpkg \
          -o -path /var/lib/apt -o -path /var/cache -o -path /var/log \
          -o -path /etc/ssl/certs \) -prune -o
      cat /var/lib/dpkg/info/*.list /var/lib/dpkg/info/*.list
    } | sed -E "s,^/(lib[0-9]*|bin|sbin)(/|$),/usr/\1\2," | sort | uniq -u
}
'

build_packages() {
    echo "== make deb"

    in_chroot "$root" '
        cd /project
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends make >/dev/null
        make deb

        echo "== lintian"
        apt-get install -qq -y --no-install-recommends lintian >/dev/null
        lintian --allow-root --fail-on error,warning build/deb/*.changes' \
        || return

    rm -rf "$top/debs"
    cp -r "$root/project/build/deb" "$top/debs"
}


# What the packages depend on, and what the tests need, is installed before them,
# since it leaves files, too.

install_packages() {
    echo "== apt-get install"
    mkdir "$root/packages"
    cp "$top/debs/"*.deb "$root/packages"
    rm -f "$root/packages/"*-dbgsym_*

    in_chroot "$root" "$UNOWNED"'
        apt-get update -qq
        apt-get install -qq -y --no-install-recommends curl gcc libc6-dev \
            libcoap3-dev libmbedtls-dev pkgconf systemd-sysv >/dev/null

        apt-get install -s -y /packages/*.deb \
            | sed -n "s/^Inst \([^ ]*\) .*/\1/p" | grep -v atls \
            | xargs apt-get install -qq -y >/dev/null
        nginx -t -q
        unowned >/packages/before

        apt-get install -qq -y /packages/*.deb >/dev/null
        dpkg --verify atls atls-gateway libatls0 libatls-dev \
            libnginx-mod-http-atls'
}


test_installed() {
    NETWORK=none in_chroot "$root" /project/debian/tests/installed
}


test_service() {
    echo "== atls-forward@.service, with systemd as process 1"

    in_chroot "$root" '
        apt-get install -qq -y --no-install-recommends curl systemd-sysv \
            >/dev/null' \
        && in_booted "$root" /project/debian/tests/service
}


test_gateway() {
    echo "== atls-gateway.service"
    in_booted "$root" /project/debian/tests/gateway
}


# The other packages are those from before, if this was noted.

purge() {
    echo "== apt-get purge"

    in_chroot "$root" "$UNOWNED"'
        mkdir -p /packages
        dpkg-query -W -f "\${db:Status-Abbrev}\${Package}\n" "*atls*" \
            | sed -n "s/^ii //p" | xargs apt-get purge -qq -y >/dev/null
        files -iname "*atls*" >/packages/left
        dpkg-query -W -f "\${Package} \${db:Status-Abbrev}\n" \
            | grep -v " ii " >>/packages/left || :

        if [ -e /packages/before ]; then
            unowned >/packages/after
            comm -13 /packages/before /packages/after >>/packages/left
        fi

        [ ! -s /packages/left ] || { cat /packages/left; exit 1; }
        nginx -t'
}


path=${1:-}
case $path in
    readme | packages | newcomer) shift ;;
    *) echo "usage: $0 readme|packages|newcomer [suite ...]" >&2; exit 2 ;;
esac

[ $# -gt 0 ] || set -- bookworm trixie

for suite; do
    top=$PWD/build/system/$suite
    root=$top/$path
    echo "== $suite"

    if "${path}_path"; then
        echo "== $suite: passed"
    else
        echo "== $suite: FAILED"
        failed="$failed $suite"
    fi
done

[ -z "$failed" ]
