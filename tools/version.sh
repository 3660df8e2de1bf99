#!/usr/bin/env bash
#
# Prints the version, which is defined in the header of libatls only.

set -eu

sed -n 's/^#define ATLS_VERSION *"\(.*\)"$/\1/p' \
    "$(dirname "$0")/../src/client/lib/atls.h"
