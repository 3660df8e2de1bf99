#!/bin/sh
#
# Prints a C source with the page of atls_status: src/page/status.html, in which
# the lines that refer to a style sheet and to scripts are replaced by these
# files.  The parts are those of src/outer/ngx_http_atls_page.h.
#
# It is run by nginx's make, see config.make.

set -eu
cd "$(dirname "$0")/../src/page"

LC_ALL=C
export LC_ALL

css='^<link rel="stylesheet" href="\(.*\)">$'
js='^<script src="\(.*\)"><\/script>$'

# the names have no spaces

styles=$(sed -n "s/$css/\1/p" status.html)
scripts=$(sed -n "s/$js/\1/p" status.html)


# Lines as strings of C; "??" may be the start of a trigraph.

quote() {
    sed -e 's/[\\"?]/\\&/g' -e 's/^/    "/' -e 's/$/\\n"/'
}


# An element ends where its end tag appears, even in a string.

if cat $styles $scripts | grep -i '<!--\|</s'; then
    echo "page: the lines above end the element that they are in" >&2
    exit 1
fi >&2

cat <<EOC
/* Made of src/page by tools/page.sh. */


#include "ngx_http_atls.h"
#include "ngx_http_atls_page.h"


ngx_str_t  ngx_http_atls_page_parts[ngx_http_atls_page_n] = {

    ngx_string(
$(sed "/$css/,\$d" status.html | quote)
    "<style>"),

    ngx_string(
$(cat $styles | quote)
    ),

    ngx_string(
    "</style>\n"
$(sed "1,/$css/d; /$js/,\$d" status.html | quote)
    "<script>"),

    ngx_string(
$(cat $scripts | quote)
    ),

    ngx_string(
    "</script>\n"
$(sed "1,/$js/d; /$js/d" status.html | quote)
    )
};
EOC
