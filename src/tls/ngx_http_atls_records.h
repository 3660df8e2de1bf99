
/*
 * Where the records of a handshake begin and end in what the client sends, so
 * that OpenSSL gets no byte behind the handshake: it could not be taken out
 * again.
 */


#ifndef _NGX_HTTP_ATLS_RECORDS_H_INCLUDED_
#define _NGX_HTTP_ATLS_RECORDS_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_record.h"


/* All zero at the start. */

typedef struct {
    u_char                      header[TRL_HEADER_SIZE];
    size_t                      header_len;
    size_t                      rest;          /* after the header */
    ngx_uint_t                  begun;         /* by a record's header */
} ngx_http_atls_records_t;


/* Where an input ends. */

typedef enum {
    ngx_http_atls_boundary_inside = 0,         /* of a record */
    ngx_http_atls_boundary_end,                /* of a record */
    ngx_http_atls_boundary_invalid,            /* not a valid record */
    ngx_http_atls_boundary_not_tls             /* nor anything of TLS */
} ngx_http_atls_boundary_e;


/* The most bytes to be passed next: the rest of a header, or of a record. */

size_t ngx_http_atls_records_want(ngx_http_atls_records_t *records);

/* Passes these or fewer. */

ngx_http_atls_boundary_e ngx_http_atls_records_input(
    ngx_http_atls_records_t *records, u_char *data, size_t len);


#endif /* _NGX_HTTP_ATLS_RECORDS_H_INCLUDED_ */
