#!/usr/bin/env bash
#
# Downloads the source of a package of Debian into build/source, from the
# archives of this machine, and prints the directory.  /etc is not changed.  The
# newest available version is used: an archive may list a newer one without its
# files.
#
#     tools/debian-source.sh nginx

set -eu
cd "$(dirname "$0")/.."

package=$1
top=$PWD/build/source
apt=$top/apt

found() {
    find "$top" -mindepth 1 -maxdepth 1 -type d -name "$package-*" 2>/dev/null \
        | sort | tail -n 1
}


# The apt sources of the machine, for source packages.

sources() {
    mkdir -p "$apt/parts" "$apt/lists/partial"

    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -f "$file" ] || sed -n 's/^deb /deb-src /p' "$file" \
            >"$apt/parts/$(basename "${file%.list}").list"
    done

    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" \
            >"$apt/parts/$(basename "$file")"
    done
}


# The versions listed by the archives, newest first.

versions() {
    apt-cache "${options[@]}" showsrc --only-source "$package" \
        | sed -n 's/^Version: //p' | sort -urV
}


# Each version has a separate directory, since some file names are the same.

get() {
    rm -rf "$top/new"
    mkdir -p "$top/new"

    ( cd "$top/new" \
          && apt-get "${options[@]}" source --only-source "$package=$1" ) \
        || return 1

    mv "$top"/new/"$package"-*/ "$top"
    rm -rf "$top/new"
}


download() {
    options=( -qq -o Dir::Etc::sourcelist=/dev/null
              -o Dir::Etc::sourceparts="$apt/parts"
              -o Dir::State::lists="$apt/lists"
              -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache=
              -o APT::Sandbox::User=root )

    tools/deps.sh dpkg-dev
    sources
    apt-get "${options[@]}" update

    for version in $(versions); do
        if get "$version"; then
            echo "debian-source: $package $version"
            return
        fi

        echo "debian-source: the archive does not have the source of" \
             "$package $version"
    done

    echo "debian-source: no source of $package"
    return 1
}


if [ -z "$(found)" ]; then
    download >&2
    rm -rf "$apt"
fi

found
