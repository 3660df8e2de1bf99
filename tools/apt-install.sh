#!/usr/bin/env bash
#
# Installs Debian packages, as root.  Services of new packages are not started,
# and those that the tests run themselves are not enabled.  Other services are
# not affected, and no package is removed.
#
#     tools/apt-install.sh package ...

set -eu

servers=( nginx haproxy squid prometheus redis-server )

policy=/usr/sbin/policy-rc.d
saved=$policy.atls-saved
marker='made by tools/apt-install.sh of ngx_http_atls_module'
tmp=$(mktemp -d)


# Names of all services, as those that invoke-rc.d and deb-systemd-invoke ask
# policy-rc.d for.

services() {
    find /etc/init.d /etc/systemd/system /lib/systemd/system \
        -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort
}


known() {
    grep -qxF -e "$1" -e "$1.service" "$tmp/services"
}


# An existing policy-rc.d decides for existing services.  If this program was
# killed, its policy has no effect, and the next run removes it.

add_policy() {
    services >"$tmp/services"

    ! grep -qs "$marker" "$policy" || remove_policy
    [ ! -e "$policy" ] || mv "$policy" "$saved"

    cat >"$policy" <<END
#!/bin/sh
# $marker, which removes it: new services are not started

for service; do
    case \$service in -*) ;; *) break ;; esac
done

if [ -d /proc/$$ ] && ! grep -qxF -e "\$service" -e "\$service.service" \\
                               $tmp/services
then
    exit 101
fi

[ ! -x $saved ] || exec $saved "\$@"
END

    chmod 755 "$policy"
}


remove_policy() {
    if [ -e "$saved" ]; then
        mv "$saved" "$policy"
    else
        rm -f "$policy"
    fi
}


# deb-systemd-helper also works without systemd.  It is for maintainer scripts,
# which have this variable.

disable_new() {
    for name in "${servers[@]}"; do
        if ! known "$name" && services | grep -qxF -e "$name.service" \
                                                  -e "$name"
        then
            [ ! -e "/etc/init.d/$name" ] \
                || update-rc.d "$name" disable >/dev/null
            DPKG_MAINTSCRIPT_PACKAGE=$name \
                deb-systemd-helper disable "$name.service" >/dev/null
            echo "$name is not started, nor will it be at boot"
        fi
    done
}


cleanup() {
    remove_policy
    disable_new
    rm -rf "$tmp"
}


# Shows the progress: on a terminal in one line, otherwise in few lines.

progress() {
    shown=

    while IFS=: read -r kind _ percent _; do
        case $kind in
            dlstatus) text=downloading ;;
            pmstatus) text=installing ;;
            *)        continue ;;
        esac

        percent=${percent%%.*}
        [ -t 1 ] || percent=$((percent / 20 * 20))
        text="$text, $percent%"

        [ "$text" != "$shown" ] || continue
        shown=$text

        if [ -t 1 ]; then printf '\r%-20s' "$text"; else echo "$text"; fi
    done

    if [ -t 1 ]; then printf '\r%-20s\r' ''; fi
}


add_policy
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

if ! {
    DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get install -y -q --no-remove \
        --no-install-recommends -o APT::Status-Fd=3 "$@" >"$tmp/log" 2>&1 \
        || touch "$tmp/failed"
} 3>&1 | progress || [ -e "$tmp/failed" ]; then
    cat "$tmp/log" >&2
    exit 1
fi
