
/*
 * A request with exported keys: the content coding of a POST and its response,
 * RFC 8188.  Records of the body are opened; the response is collected until
 * there is enough for a record.
 */


#ifndef _NGX_HTTP_ATLS_CODING_H_INCLUDED_
#define _NGX_HTTP_ATLS_CODING_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_ece.h"
#include "trl_message.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_id.h"


/* keyid: the identifier of the session, a dot, the number */

#define NGX_HTTP_ATLS_KEYID_LEN                                               \
    (NGX_HTTP_ATLS_ID_TEXT_LEN + 1 + TRL_MESSAGE_NUMBER)

/*
 * Record sizes of requests: a record is opened when it is complete.  That of a
 * response is the one of its request, if it is in these limits and not more
 * than atls_buffer_size.
 */

#define NGX_HTTP_ATLS_CODING_MAX    (TRL_MAX_PLAINTEXT + TRL_ECE_OVERHEAD)
#define NGX_HTTP_ATLS_CODING_MIN    (512 + TRL_ECE_OVERHEAD)

/* The header of a message. */

#define NGX_HTTP_ATLS_CODING_HEADER                                           \
    (TRL_ECE_HEADER + NGX_HTTP_ATLS_KEYID_LEN)


struct ngx_http_atls_coding_s {
    trl_ece_t                in;
    trl_ece_t                out;

    u_char                   keyid[NGX_HTTP_ATLS_KEYID_LEN];
    size_t                   keyid_len;
    u_char                   in_salt[TRL_ECE_SALT];
    u_char                   out_salt[TRL_ECE_SALT];
    uint64_t                 number;

    u_char                  *plain;         /* of the next record out */
    size_t                   plain_len;
    size_t                   plain_max;

    time_t                   age;           /* of the cookie; 0: not sent */

    unsigned                 started:1;     /* the header was written */
};


/*
 * Reads the header of a message.  NGX_OK; NGX_AGAIN: more of the body is
 * required; NGX_DECLINED, logged: it is invalid; otherwise a status.  *text:
 * the identifier of the session, which may be invalid.
 */

ngx_int_t ngx_http_atls_coding_read(ngx_http_atls_coding_t *coding,
    ngx_http_atls_body_t *body, ngx_str_t *text);

/*
 * Initializes one direction with its key.  NGX_ERROR, logged.  size: the
 * largest plaintext of a record.  The last function wipes the keys.
 */

ngx_int_t ngx_http_atls_coding_in(ngx_http_atls_coding_t *coding,
    const trl_state_t *state, ngx_log_t *log);
ngx_int_t ngx_http_atls_coding_out(ngx_http_atls_coding_t *coding,
    const trl_state_t *state, size_t size, ngx_pool_t *pool, ngx_log_t *log);
void ngx_http_atls_coding_done(ngx_http_atls_coding_t *coding);

/*
 * Opens the next record.  NGX_OK: its plaintext, which may be empty, is at
 * *data until the next call; NGX_AGAIN: more of the body is required; NGX_DONE:
 * the message is complete; NGX_DECLINED, logged: it is refused; otherwise a
 * status.
 */

ngx_int_t ngx_http_atls_coding_open(ngx_http_atls_coding_t *coding,
    ngx_http_atls_body_t *body, u_char **data, size_t *len);

/* Adds plaintext to the next record out; the number of bytes with room. */

size_t ngx_http_atls_coding_room(const ngx_http_atls_coding_t *coding);
void ngx_http_atls_coding_add(ngx_http_atls_coding_t *coding,
    const struct iovec *iov, ngx_uint_t niov);

/*
 * Seals the next record, after the header.  The last one is as short as
 * possible, others are padded.  buf: of the size of the first function.
 * Returns the length, or -1.
 */

size_t ngx_http_atls_coding_size(const ngx_http_atls_coding_t *coding,
    ngx_uint_t last);
ssize_t ngx_http_atls_coding_seal(ngx_http_atls_coding_t *coding,
    ngx_uint_t last, u_char *buf);


#endif /* _NGX_HTTP_ATLS_CODING_H_INCLUDED_ */
