
/*
 * The borders of TLS records in a stream of bytes.
 *
 *     atls_records_t  records;
 *
 *     memset(&records, 0, sizeof(atls_records_t));
 *     atls_records_add(&records, bytes, n);
 */


#ifndef ATLS_CLIENT_RECORDS_H_INCLUDED
#define ATLS_CLIENT_RECORDS_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#define ATLS_RECORDS_HEADER     5


typedef struct {
    unsigned char    header[ATLS_RECORDS_HEADER];
    size_t           n;                     /* bytes of the header */
    size_t           rest;                  /* bytes missing after it */
    uint64_t         ended;                 /* complete records */
    unsigned         data:1;                /* there were application data, or
                                               what looks like them */
    unsigned         bad:1;                 /* it is not TLS */
} atls_records_t;


void atls_records_add(atls_records_t *records, const unsigned char *bytes,
    size_t n);

/* Whether the last record is complete, or there is none. */

int atls_records_whole(const atls_records_t *records);

/*
 * Adds the body of a POST to the records of the client.  Returns whether the
 * server recognizes the POST when it is sent again, docs/protocol.md: a shorter
 * one may be the next piece of a record, and so may one without the end of any.
 */

int atls_records_post(atls_records_t *records, const unsigned char *bytes,
    size_t n);


#endif /* ATLS_CLIENT_RECORDS_H_INCLUDED */
