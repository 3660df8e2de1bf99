
/*
 * What an address has of the limits, see share.h.
 */


#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "../cmd/base/exitcode.h"
#include "../cmd/base/util.h"
#include "share.h"


static int gw_share_compare(const void *one, const void *two);


gw_share_t *
gw_share_get(gw_shares_t *shares, const void *address, size_t n)
{
    gw_share_t  *share, **found;

    share = cmd_alloc(sizeof(gw_share_t));
    share->limits = shares->limits;
    share->naddress = n;
    memcpy(share->address, address, n);

    found = tsearch(share, &shares->tree, gw_share_compare);

    if (found == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    if (*found != share) {
        free(share);
        share = *found;
    }

    share->sources++;

    return share;
}


static int
gw_share_compare(const void *one, const void *two)
{
    const gw_share_t  *a = one, *b = two;

    return a->naddress == b->naddress
           ? memcmp(a->address, b->address, a->naddress)
           : a->naddress < b->naddress ? -1 : 1;
}


void
gw_share_release(gw_shares_t *shares, gw_share_t *share)
{
    share->sources--;

    if (share->sources == 0) {
        tdelete(share, &shares->tree, gw_share_compare);
        free(share);
    }
}


int
gw_share_has(const gw_share_t *share, size_t n)
{
    const gw_limits_t  *limits = share->limits;

    return share->memory + limits->memory + n <= limits->max_memory;
}


void
gw_share_add(gw_share_t *share, size_t n)
{
    share->memory += n;
    share->limits->memory += n;
}


void
gw_share_sub(gw_share_t *share, size_t n)
{
    share->memory -= n;
    share->limits->memory -= n;
}
