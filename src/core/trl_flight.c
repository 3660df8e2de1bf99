
/*
 * Records of a DTLS handshake, see trl_flight.h.
 */


#include "trl_flight.h"


/* RFC 6347, section 4.2.2 */

#define TRL_FLIGHT_HEADER           12


typedef struct {
    size_t              len;                /* of the message */
    unsigned            number;
    size_t              offset;             /* of the fragment */
    size_t              fragment;           /* its length */
} trl_fragment_t;


static trl_flight_e trl_flight_messages(const trl_flight_t *flight,
    const trl_watch_t *watch, const uint8_t *p, size_t len);
static int trl_flight_fragment(trl_fragment_t *f, const uint8_t *p, size_t len);


/*
 * Application data before the end of the handshake were sent by a client which
 * has finished it, or are reordered: RFC 6347, section 4.2.5, allows to discard
 * them.
 */

trl_flight_e
trl_flight_check(trl_flight_t *flight, const trl_watch_t *watch,
    const uint8_t *record, size_t len)
{
    unsigned  epoch;

    if (record[0] == TRL_APPLICATION_DATA) {
        return trl_flight_again;
    }

    epoch = (unsigned) record[3] << 8 | record[4];

    if (epoch > TRL_DATA_EPOCH) {
        return trl_flight_useless;
    }

    if (epoch == TRL_DATA_EPOCH) {

        /* it is encrypted; OpenSSL keeps a buffer of 16 kilobytes for it */

        if (watch->changed) {
            return trl_flight_needed;
        }

        return (flight->early++ < TRL_FLIGHT_EARLY) ? trl_flight_needed
                                                    : trl_flight_useless;
    }

    /* OpenSSL would end the handshake, although anybody may have sent it */

    if (record[0] == TRL_ALERT) {
        return (len == TRL_DATAGRAM_HEADER + 2) ? trl_flight_alert
                                                : trl_flight_useless;
    }

    if (record[0] != TRL_HANDSHAKE) {
        return trl_flight_needed;
    }

    return trl_flight_messages(flight, watch, record + TRL_DATAGRAM_HEADER,
                               len - TRL_DATAGRAM_HEADER);
}


/*
 * A message that is older than the last flight tells that this flight, or the
 * response with it, was lost (section 4.2.4).  OpenSSL allocates memory for a
 * message when it gets the first fragment, even of a later one.
 */

static trl_flight_e
trl_flight_messages(const trl_flight_t *flight, const trl_watch_t *watch,
    const uint8_t *p, size_t len)
{
    unsigned        end;
    trl_fragment_t  f;

    end = watch->messages ? TRL_FLIGHT_MESSAGES : 1;

    do {
        if (trl_flight_fragment(&f, p, len) == -1) {
            return trl_flight_useless;
        }

        if (f.number < flight->answered) {
            return trl_flight_again;
        }

        if (f.number >= end
            || (f.number > watch->messages && f.len > TRL_FLIGHT_MAX))
        {
            return trl_flight_useless;
        }

        p += TRL_FLIGHT_HEADER + f.fragment;
        len -= TRL_FLIGHT_HEADER + f.fragment;

    } while (len);

    return trl_flight_needed;
}


/* Returns 0, or -1: the record is invalid. */

static int
trl_flight_fragment(trl_fragment_t *f, const uint8_t *p, size_t len)
{
    if (len < TRL_FLIGHT_HEADER) {
        return -1;
    }

    f->len = (size_t) p[1] << 16 | (size_t) p[2] << 8 | p[3];
    f->number = (unsigned) p[4] << 8 | p[5];
    f->offset = (size_t) p[6] << 16 | (size_t) p[7] << 8 | p[8];
    f->fragment = (size_t) p[9] << 16 | (size_t) p[10] << 8 | p[11];

    if (f->fragment > len - TRL_FLIGHT_HEADER
        || f->offset + f->fragment > f->len)
    {
        return -1;
    }

    return 0;
}
