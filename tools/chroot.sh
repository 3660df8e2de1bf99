# shellcheck shell=bash
#
# Functions for chroots with other Debian releases, for other scripts.
#
#     . tools/chroot.sh
#     bootstrap SUITE DIR         a minimal system in DIR, from the archive of
#                                 this machine
#     copy_project DIR            the working tree in DIR
#     fresh SUITE DIR             both: a new copy of a minimal system, which is
#                                 kept in build/chroot, and DIR/project
#     in_chroot DIR [VAR=VALUE ...] COMMAND       runs a shell command
#     in_booted DIR COMMAND       the same, while systemd runs in DIR
#
# The network is that of this machine, unless NETWORK is "none".  All functions
# must be called as root, from the directory of the project.

# The Debian archive of this machine.

archive() {
    apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' \
            'Created-By: Packages' \
        | awk '$1 == "Debian" && $2 == "main" { print $3; exit }'
}


bootstrap() {
    local suite=$1 root=$2 uri

    [ -e "$root/.ready" ] && return
    command -v debootstrap >/dev/null || {
        echo "debootstrap is needed: apt-get install debootstrap" >&2
        return 1
    }

    uri=$(archive)
    [ -n "$uri" ] || { echo "run apt-get update first" >&2; return 1; }

    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$suite" "$root" "$uri" \
        >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; return 1; }

    # services of installed packages must not be started: the network is shared

    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"

    # a mirror may be a snapshot with expired package lists

    echo 'Acquire::Check-Valid-Until "false";' \
        >"$root/etc/apt/apt.conf.d/99chroot"
    : >"$root/.ready"
}


# The working tree without build/, which has files for this machine.

copy_project() {
    mkdir -p "$1"
    find "$1" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    tar --exclude=./build --exclude=./.git -cf - . | tar -C "$1" -xf -
}


fresh() {
    local suite=$1 root=$2

    bootstrap "$suite" "$PWD/build/chroot/$suite" || return
    rm -rf "$root"
    mkdir -p "${root%/*}"
    cp -a --reflink=auto "$PWD/build/chroot/$suite" "$root"
    copy_project "$root/project"
}


# The namespaces remove mounts and processes.

in_chroot() {
    local root=$1 net=
    shift

    [ "${NETWORK:-}" != none ] || net=--net

    unshare --mount --pid $net --fork --kill-child bash -eu -c '
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        cp -L /etc/resolv.conf /etc/hosts "$0/etc/" || :
        [ "${NETWORK:-}" != none ] || ip link set lo up
        exec chroot "$0" /usr/bin/env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            DEBIAN_FRONTEND=noninteractive "${@:1:$#-1}" sh -euc "${!#}"
        ' "$root" "$@"
}


# systemd-nspawn removes what remains of the system, and the changes of its files,
# which are in memory.  There is no network.

in_booted() {
    local root=$1 dir status=0

    dir=$(mktemp -d)

    cat >"$dir/run" <<END
#!/bin/sh -eu
exec >/command/output 2>&1
$2
END

    chmod +x "$dir/run"

    timeout -k 10 1200 systemd-nspawn -q -D "$root" --volatile=overlay \
        --bind="$dir:/command" --register=no --keep-unit --private-network \
        --boot systemd.run=/command/run >"$dir/boot" 2>&1 </dev/null \
        || status=$?

    if [ -e "$dir/output" ]; then
        cat "$dir/output"
    else
        tail -n 20 "$dir/boot"
    fi

    rm -rf "$dir"
    return $status
}
