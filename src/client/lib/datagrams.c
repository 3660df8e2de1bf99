
/*
 * DTLS records in the body of a response, see datagrams.h.
 */


#include <string.h>

#include "datagrams.h"


static size_t atls_datagrams_want(const atls_datagrams_t *datagrams);


atls_error_e
atls_datagrams_add(atls_datagrams_t *datagrams, const unsigned char *bytes,
    size_t n, atls_datagram_pt pass, void *data, atls_failure_t *failure)
{
    size_t        piece;
    atls_error_e  rc;

    rc = ATLS_OK;

    while (n && rc == ATLS_OK) {
        piece = atls_datagrams_want(datagrams);

        if (piece > ATLS_DATAGRAM_RECORD - datagrams->have) {
            return atls_fail(failure, ATLS_ERROR_TLS,
                             "the response is not DTLS");
        }

        piece = piece < n ? piece : n;
        memcpy(datagrams->record + datagrams->have, bytes, piece);

        datagrams->have += piece;
        bytes += piece;
        n -= piece;

        if (atls_datagrams_want(datagrams) == 0) {
            rc = pass(data, datagrams->record, datagrams->have);
            datagrams->have = 0;
        }
    }

    return rc;
}


/* How many bytes are missing of a header, or else of a record. */

static size_t
atls_datagrams_want(const atls_datagrams_t *datagrams)
{
    return (datagrams->have < ATLS_DATAGRAM_HEADER
            ? ATLS_DATAGRAM_HEADER : atls_datagram_size(datagrams->record))
           - datagrams->have;
}
