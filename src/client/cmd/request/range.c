
/*
 * -r and -C, see range.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "../base/util.h"
#include "range.h"


int64_t
cmd_range_offset(const cmd_options_t *options, const char *path)
{
    struct stat  st;

    if (!options->resume_auto) {
        return options->resume;
    }

    return path && stat(path, &st) == 0
           && S_ISREG(st.st_mode) ? st.st_size : 0;
}


char *
cmd_range_value(const cmd_options_t *options, int64_t offset,
    const cmd_upload_t *upload)
{
    long long  from = offset;
    long long  total;

    if (options->range == NULL && offset == 0
        && (upload == NULL || !options->resume_auto))
    {
        return NULL;
    }

    if (upload == NULL) {
        return options->range ? cmd_format("bytes=%s", options->range)
                              : cmd_format("bytes=%lld-", from);
    }

    total = upload->length == ATLS_LENGTH_UNKNOWN ? -1 : upload->length + from;

    return options->range
           ? cmd_format("bytes %s/%lld", options->range, total)
           : cmd_format("bytes %lld-%lld/%lld", from, total - 1, total);
}


int
cmd_range_begins(const cmd_headers_t *headers, int64_t offset)
{
    const char  *value;

    value = cmd_headers_get(headers, "Content-Range");

    if (value == NULL || strncasecmp(value, "bytes", 5) != 0) {
        return 0;
    }

    value += 5;
    value += strspn(value, " \t");

    return *value >= '0' && *value <= '9'
           && strtoll(value, NULL, 10) == offset;
}
