
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Input and output of a handshake: records of POSTs are passed to OpenSSL, and
 * its flights are taken.
 */


#ifndef _NGX_HTTP_ATLS_HANDSHAKE_IO_H_INCLUDED_
#define _NGX_HTTP_ATLS_HANDSHAKE_IO_H_INCLUDED_


#include "ngx_http_atls.h"


/* Results of input. */

typedef enum {
    ngx_http_atls_handshake_again = 0,         /* more input is needed */
    ngx_http_atls_handshake_early,             /* early data are available, and
                                                  must be processed first */
    ngx_http_atls_handshake_finished,
    ngx_http_atls_handshake_failed             /* maybe with an alert */
} ngx_http_atls_handshake_e;


/*
 * The maximum number of bytes for the next input: up to the end of a record
 * header or a record, so that OpenSSL does not get data after the handshake.
 */

size_t ngx_http_atls_handshake_want(ngx_http_atls_handshake_t *hs);

/* Passes at most that many bytes to OpenSSL. */

ngx_http_atls_handshake_e ngx_http_atls_handshake_input(
    ngx_http_atls_handshake_t *hs, u_char *data, size_t len, ngx_log_t *log);

/*
 * The same with DTLS, for a whole record: records that are not needed now are
 * discarded.
 */

ngx_http_atls_handshake_e ngx_http_atls_handshake_datagram(
    ngx_http_atls_handshake_t *hs, u_char *record, size_t len, ngx_log_t *log);

/* The early data, in the handshake's memory. */

ngx_str_t ngx_http_atls_handshake_early_data(ngx_http_atls_handshake_t *hs);

/*
 * Encrypts a response to early data before the client's Finished (RFC 8446,
 * section 4.4.4): len bytes, gathered, to a single record in the output, at
 * most TRL_CHANNEL_OVERHEAD longer.  NGX_ERROR, logged.
 */

ngx_int_t ngx_http_atls_handshake_seal(ngx_http_atls_handshake_t *hs,
    struct iovec *iov, ngx_uint_t niov, size_t len, ngx_log_t *log);

/* The maximum plaintext size of such a record. */

size_t ngx_http_atls_handshake_max(ngx_http_atls_handshake_t *hs);

/* The output, in OpenSSL's memory, until it is marked as sent. */

ngx_str_t ngx_http_atls_handshake_output(ngx_http_atls_handshake_t *hs);
void ngx_http_atls_handshake_sent(ngx_http_atls_handshake_t *hs);

/* Whether there was any output. */

ngx_uint_t ngx_http_atls_handshake_answered(ngx_http_atls_handshake_t *hs);

/*
 * With DTLS: the last flight of the server.  "again": it is needed again, as
 * the client has sent its previous flight again, or data.
 */

ngx_str_t ngx_http_atls_handshake_flight(ngx_http_atls_handshake_t *hs,
    ngx_uint_t *again);


#endif /* _NGX_HTTP_ATLS_HANDSHAKE_IO_H_INCLUDED_ */
