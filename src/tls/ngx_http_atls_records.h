
/*
 * Tracks record boundaries in the client's input during a handshake, so that
 * OpenSSL gets no data after the handshake, which could not be extracted.
 */


#ifndef _NGX_HTTP_ATLS_RECORDS_H_INCLUDED_
#define _NGX_HTTP_ATLS_RECORDS_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_record.h"


/* Must be zeroed before use. */

typedef struct {
    u_char                      header[TRL_HEADER_SIZE];
    size_t                      header_len;
    size_t                      rest;          /* bytes after the header */
    ngx_uint_t                  begun;         /* a header was received */
} ngx_http_atls_records_t;


/* The position at the end of an input. */

typedef enum {
    ngx_http_atls_boundary_inside = 0,         /* inside a record */
    ngx_http_atls_boundary_end,                /* at the end of a record */
    ngx_http_atls_boundary_invalid,            /* in an invalid record */
    ngx_http_atls_boundary_not_tls             /* the input is not TLS */
} ngx_http_atls_boundary_e;


/*
 * The maximum number of bytes for the next input: the rest of a header or
 * record.
 */

size_t ngx_http_atls_records_want(ngx_http_atls_records_t *records);

/* Processes at most that many bytes. */

ngx_http_atls_boundary_e ngx_http_atls_records_input(
    ngx_http_atls_records_t *records, u_char *data, size_t len);


#endif /* _NGX_HTTP_ATLS_RECORDS_H_INCLUDED_ */
