
/*
 * The response to an outer POST: records are collected in buffers, and sent
 * with a Content-Length if they are complete, otherwise as a stream.  The
 * number of buffers is limited: if the client does not read, sealing stops.
 */


#ifndef _NGX_HTTP_ATLS_ANSWER_H_INCLUDED_
#define _NGX_HTTP_ATLS_ANSWER_H_INCLUDED_


#include "ngx_http_atls.h"


typedef struct {
    ngx_http_request_t   *request;

    ngx_chain_t          *out;          /* to be sent */
    ngx_chain_t          *tail;         /* last buffer of out */
    ngx_chain_t          *room;         /* tail, or a buffer to append */
    ngx_chain_t          *busy;         /* passed on, not sent yet */
    ngx_chain_t          *free;         /* full-size buffers */

    size_t                size;         /* of a full-size buffer */
    size_t                length;       /* bytes in out */
    uint64_t              bytes;        /* in all, sent or not */

    size_t                keep;         /* up to this size, a copy is needed */
    u_char               *copy;         /* of what was sent */
    size_t                copied;
    ngx_uint_t            nbuffers;     /* number of full-size buffers */

    unsigned              started:1;    /* header is sent */
    unsigned              error:1;
    unsigned              goes_on:1;    /* the request, without the client */
    unsigned              gone:1;       /* the client; only the copy matters */
} ngx_http_atls_answer_t;


/* plaintext: the maximum plaintext size of records to be added. */

void ngx_http_atls_answer_init(ngx_http_atls_answer_t *answer,
    ngx_http_request_t *r, size_t plaintext);

/*
 * Returns room for size bytes, to be committed with the number written.  NULL:
 * no room until more is flushed, or an error if answer->error is set.
 */

u_char *ngx_http_atls_answer_room(ngx_http_atls_answer_t *answer, size_t size);
void ngx_http_atls_answer_commit(ngx_http_atls_answer_t *answer, size_t size);

/* The same, in an additional buffer.  NULL: no memory. */

u_char *ngx_http_atls_answer_add(ngx_http_atls_answer_t *answer, size_t size);

/* Adds a copy of any length. */

ngx_int_t ngx_http_atls_answer_copy(ngx_http_atls_answer_t *answer,
    u_char *data, size_t len);

/*
 * Sends buffered data, after the header; called again when the client's
 * connection is writable.  NGX_OK: all is sent; NGX_AGAIN; NGX_ERROR.
 */

ngx_int_t ngx_http_atls_answer_flush(ngx_http_atls_answer_t *answer);

/*
 * Whether the whole response is available: the prefix, which was sent, and the
 * buffers in answer->out.
 */

ngx_uint_t ngx_http_atls_answer_whole(ngx_http_atls_answer_t *answer,
    ngx_str_t *prefix);

/* Ends the response.  Returns a code for ngx_http_finalize_request(). */

ngx_int_t ngx_http_atls_answer_finish(ngx_http_atls_answer_t *answer);


#endif /* _NGX_HTTP_ATLS_ANSWER_H_INCLUDED_ */
