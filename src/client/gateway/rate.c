
/*
 * Bytes sent to addresses, see rate.h.
 */


#include "rate.h"


#define GW_RATE_BURST   10              /* seconds */
#define GW_RATE_FULL    3600000         /* milliseconds, after which all may be
                                           sent again at any rate */


static size_t gw_rate_place(const gw_rate_t *rate, const void *address,
    size_t n);


int
gw_rate_allows(gw_rate_t *rate, const void *address, size_t n, size_t bytes,
    int64_t now)
{
    size_t   place;
    int64_t  elapsed, most;

    place = gw_rate_place(rate, address, n);
    most = rate->rate * GW_RATE_BURST * 1000;
    elapsed = now - rate->places[place].time;

    if (rate->places[place].time == 0 || elapsed >= GW_RATE_FULL) {
        rate->places[place].left = most;

    } else {
        rate->places[place].left += elapsed * rate->rate;
    }

    if (rate->places[place].left > most) {
        rate->places[place].left = most;
    }

    rate->places[place].time = now;

    return rate->places[place].left > (int64_t) bytes * 1000;
}


/* FNV-1a, with a secret beginning. */

static size_t
gw_rate_place(const gw_rate_t *rate, const void *address, size_t n)
{
    size_t                i;
    uint64_t              hash;
    const unsigned char  *bytes = address;

    hash = rate->key;

    for (i = 0; i < n; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }

    return (size_t) ((hash >> 32) % GW_RATES);
}


void
gw_rate_spend(gw_rate_t *rate, const void *address, size_t n, size_t bytes)
{
    rate->places[gw_rate_place(rate, address, n)].left -= (int64_t) bytes
                                                          * 1000;
}
