
/*
 * The body of an outer POST, as bytes (for a handshake) and as whole records
 * (for a channel).  It is read unbuffered and on demand, so that a client
 * cannot send more than is processed.
 */


#ifndef _NGX_HTTP_ATLS_BODY_H_INCLUDED_
#define _NGX_HTTP_ATLS_BODY_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_channel.h"


#define NGX_HTTP_ATLS_BODY_PEEK  16     /* bytes peeked after a record */


typedef struct {
    ngx_http_request_t   *request;

    u_char               *pos;      /* current buffer */
    u_char               *last;

    /*
     * Bytes before pos, from taken to held: the start of a record from a
     * previous POST or from several buffers, and up to NGX_HTTP_ATLS_BODY_PEEK
     * bytes after it.  Allocated on first use.
     */

    u_char               *buffer;
    size_t                taken;
    size_t                held;

    u_char               *file;     /* to read a body from a file */

    uint64_t              bytes;    /* read so far */

    ngx_int_t             status;   /* read error, or 0 */
} ngx_http_atls_body_t;


/*
 * Functions of type ngx_int_t return NGX_AGAIN if more of the body is required
 * (wait for the request's read event), NGX_DONE at the end of the body, and a
 * status if it cannot be read.
 */

/*
 * NGX_OK: the next n bytes at *data, at most TRL_MAX_RECORD, not taken; fewer
 * if the body ends before but has any.  The second function takes them.
 */

ngx_int_t ngx_http_atls_body_peek(ngx_http_atls_body_t *body, size_t n,
    u_char **data, size_t *len);
void ngx_http_atls_body_skip(ngx_http_atls_body_t *body, size_t n);

/* NGX_OK: 1 to n bytes at *data, in the body's memory, taken. */

ngx_int_t ngx_http_atls_body_read(ngx_http_atls_body_t *body, size_t n,
    u_char **data, size_t *len);

/*
 * NGX_OK: a whole record at *record, taken; it stays until the next call.
 * NGX_ERROR: the channel refuses its header.  Without a channel, DTLS: the
 * header is invalid.
 */

ngx_int_t ngx_http_atls_body_record(ngx_http_atls_body_t *body,
    trl_channel_t *channel, u_char **record, size_t *len);

/* Skips the rest of the body.  NGX_DONE, NGX_AGAIN, or a status. */

ngx_int_t ngx_http_atls_body_discard(ngx_http_atls_body_t *body);

/* Prepends bytes of an earlier POST.  NGX_OK, or a status. */

ngx_int_t ngx_http_atls_body_prepend(ngx_http_atls_body_t *body, u_char *data,
    size_t len);

/* After NGX_DONE: the start of an unfinished record, if there is one. */

void ngx_http_atls_body_rest(ngx_http_atls_body_t *body, ngx_str_t *rest);

/* NGX_OK: at least one byte is read and not taken. */

ngx_int_t ngx_http_atls_body_fill(ngx_http_atls_body_t *body);

/* Compares the type and subtype, ignoring case and parameters. */

ngx_uint_t ngx_http_atls_body_type(ngx_http_request_t *r, ngx_str_t *type);

/* The first Content-Encoding of a request, and their number; NULL: none. */

ngx_str_t *ngx_http_atls_body_coding(ngx_http_request_t *r, ngx_uint_t *lines);

/*
 * Logs the Content-Encoding of a body that is not TLS, if there is one: it may
 * have been compressed on the path.  Otherwise, the header is ignored.
 */

void ngx_http_atls_body_explain(ngx_http_request_t *r);

/* Whether the whole body is read and taken. */

ngx_uint_t ngx_http_atls_body_done(const ngx_http_atls_body_t *body);

/*
 * Called when the body is read completely.  If the client's EOF was received
 * with its last bytes, there is no further event: one is posted.
 */

void ngx_http_atls_body_ended(ngx_http_request_t *r);


#endif /* _NGX_HTTP_ATLS_BODY_H_INCLUDED_ */
