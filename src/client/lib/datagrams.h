
/*
 * DTLS records in the body of a response, back to back.
 */


#ifndef ATLS_CLIENT_DATAGRAMS_H_INCLUDED
#define ATLS_CLIENT_DATAGRAMS_H_INCLUDED


#include "error.h"


/* RFC 6347, section 4.1 */

#define ATLS_DATAGRAM_HEADER    13
#define ATLS_DATAGRAM_RECORD    (ATLS_DATAGRAM_HEADER + 16384 + 2048)

#define atls_datagram_size(p)                                                 \
    (ATLS_DATAGRAM_HEADER + ((size_t) (p)[11] << 8) + (p)[12])


typedef struct {
    size_t           have;                  /* bytes of the record */
    unsigned char    record[ATLS_DATAGRAM_RECORD];
} atls_datagrams_t;


/* Receives a whole record. */

typedef atls_error_e (*atls_datagram_pt)(void *data,
    const unsigned char *record, size_t n);


/*
 * Passes whole records of the next part of a body, and keeps the rest.  "have"
 * must be 0 at the beginning of a body.
 */

atls_error_e atls_datagrams_add(atls_datagrams_t *datagrams,
    const unsigned char *bytes, size_t n, atls_datagram_pt pass, void *data,
    atls_failure_t *failure);


#endif /* ATLS_CLIENT_DATAGRAMS_H_INCLUDED */
