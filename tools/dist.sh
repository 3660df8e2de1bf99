#!/usr/bin/env bash
#
# Creates the source archive OUT/dist/ngx_http_atls_module-VERSION.tar.gz, and
# prints its name.  Without git, the archive has all files except for those in
# build/; with git, those that are tracked, or would be added.
#
# The archive depends on names, contents and permissions of files only.  Times
# are that of the last entry of debian/changelog, or SOURCE_DATE_EPOCH.
#
#     OUT         build directory                         build

set -eu -o pipefail
cd "$(dirname "$0")/.."

OUT=${OUT:-build}
export LC_ALL=C


# The directory may belong to another user, for example in a container.

files() {
    if [ -e .git ] && command -v git >/dev/null; then
        git -c safe.directory="$PWD" ls-files --cached --others \
            --exclude-standard
    else
        find . \( -path ./build -o -path ./.git \) -prune \
            -o \( -type f -o -type l \) -printf '%P\n'
    fi
}


# Files for the hosts of the repository are not distributed.

listed() {
    files | grep -vE '^(build|\.ci|\.github)/|^\.git(ignore)?$' | sort \
        | while IFS= read -r file; do
            [ -e "$file" ] || [ -L "$file" ] || continue
            printf '%s\n' "$file"
          done
}


version=$(tools/version.sh)
name=ngx_http_atls_module-$version
date=$(sed -n '/^ -- / { s/.*>  //p; q }' debian/changelog)
epoch=${SOURCE_DATE_EPOCH:-$(date -u -d "$date" +%s)}
archive=$OUT/dist/$name.tar.gz

mkdir -p "$OUT/dist"

listed | tar --create --verbatim-files-from --files-from=- \
    --transform="flags=r;s|^|$name/|" --sort=name --format=ustar \
    --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s \
    | gzip --no-name --best >"$archive.new"

mv "$archive.new" "$archive"
echo "$archive"
