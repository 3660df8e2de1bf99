#!/usr/bin/env bash
#
# Builds the Debian packages in OUT/deb, from the source archive.
#
#     OUT         build directory                         build

set -eu
cd "$(dirname "$0")/.."

OUT=${OUT:-build}
source=$(sed -n '1s/ .*//p' debian/changelog)


die() {
    echo "deb: $*" >&2
    exit 1
}


tools/deps.sh deb
dpkg-checkbuilddeps || die "tools/deps.sh does not install these"

archive=$(OUT=$OUT tools/dist.sh)
version=$(tools/version.sh)
dir=$OUT/deb
tree=$dir/$source-$version

rm -rf "$dir"
mkdir -p "$tree"
tar -C "$tree" --strip-components=1 -xf "$archive"

# the original archive of a source package does not have debian/

gzip -cd "$archive" | tar --delete "$(basename "$archive" .tar.gz)/debian" \
    | gzip --no-name --best >"$dir/${source}_$version.orig.tar.gz"

# variables of make are not those of debian/rules

( cd "$tree" && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u MAKEOVERRIDES \
      -u CC -u CFLAGS -u LDFLAGS -u DESTDIR -u OUT \
      dpkg-buildpackage -us -uc >../build.log 2>&1 ) \
    || { tail -n 40 "$dir/build.log" >&2; die "see $dir/build.log"; }

rm -rf "$tree"
ls "$dir"/*.deb
