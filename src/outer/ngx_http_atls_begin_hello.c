
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_begin_dtls.h"
#include "ngx_http_atls_begin_hello.h"
#include "ngx_http_atls_retry.h"


/* The first bytes are awaited, since they are a part of the fingerprint. */

ngx_int_t
ngx_http_atls_begin_hello(ngx_http_atls_post_t *post,
    ngx_http_atls_hello_t *hello)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_body_peek(&post->body,
                                 ngx_max(post->want, NGX_HTTP_ATLS_PRINT_LEN),
                                 &hello->data, &hello->len);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_atls_retry_first(post, hello->data, hello->len);

    post->dtls = ngx_http_atls_begin_dtls(post, hello->data, hello->len);

    if (post->dtls) {
        hello->whole = ngx_http_atls_begin_dtls_hello(hello->data, hello->len);
        hello->found = hello->whole ? ngx_http_atls_hello_yes
                                    : ngx_http_atls_hello_no;
        return NGX_OK;
    }

    hello->len = ngx_min(hello->len, NGX_HTTP_ATLS_CLIENT_HELLO);
    hello->found = ngx_http_atls_begin_client_hello(hello->data, hello->len);

    hello->whole = (hello->len == NGX_HTTP_ATLS_CLIENT_HELLO
                    && TRL_HEADER_SIZE + (size_t) (hello->data[3] << 8)
                       + hello->data[4] >= NGX_HTTP_ATLS_CLIENT_HELLO);

    return NGX_OK;
}


/*
 * Distinguishes a ClientHello from a record of the session.
 *
 * TLS 1.3 sessions have no records of this type.  In TLS 1.2, a record of this
 * type is a renegotiation attempt, and its contents look random: the
 * probability that the type, length and version of a message match is 2^-29,
 * and less if the explicit nonce is a counter.  If the record is too short for
 * them, it is too short for an encrypted record, too.
 */

ngx_http_atls_hello_e
ngx_http_atls_begin_client_hello(u_char *data, size_t len)
{
    size_t  record, message;

    if (data[0] != TRL_HANDSHAKE || (len > 1 && data[1] != 3)) {
        return ngx_http_atls_hello_no;
    }

    if (len < TRL_HEADER_SIZE) {
        return ngx_http_atls_hello_maybe;
    }

    record = (data[3] << 8) + data[4];

    if (record == 0 || record > TRL_MAX_PLAINTEXT
        || (len > 5 && data[5] != TRL_CLIENT_HELLO))
    {
        return ngx_http_atls_hello_no;
    }

    if (TRL_HEADER_SIZE + record < NGX_HTTP_ATLS_CLIENT_HELLO) {
        return (len < TRL_HEADER_SIZE + record) ? ngx_http_atls_hello_maybe
                                                : ngx_http_atls_hello_yes;
    }

    if (len > 8) {
        message = (data[6] << 16) + (data[7] << 8) + data[8];

        /* it may be fragmented, but no other message may follow */

        if (message > TRL_MAX_CLIENT_HELLO || message + 4 < record) {
            return ngx_http_atls_hello_no;
        }
    }

    if ((len > 9 && data[9] != 3) || (len > 10 && data[10] > 4)) {
        return ngx_http_atls_hello_no;
    }

    return (len < NGX_HTTP_ATLS_CLIENT_HELLO) ? ngx_http_atls_hello_maybe
                                              : ngx_http_atls_hello_yes;
}


ngx_uint_t
ngx_http_atls_begin_goes_on(ngx_http_atls_post_t *post, u_char *data,
    size_t len)
{
    size_t  record;

    if (post->dtls) {
        return !ngx_http_atls_begin_dtls_hello(data, len);
    }

    if (len > 1 && data[1] != 3) {
        return 0;
    }

    switch (data[0]) {

    case TRL_CHANGE_CIPHER_SPEC:
    case TRL_ALERT:
    case TRL_APPLICATION_DATA:
        return 1;

    case TRL_HANDSHAKE:

        if (len <= TRL_HEADER_SIZE) {
            return 0;
        }

        record = (data[3] << 8) + data[4];

        return record && record <= TRL_MAX_PLAINTEXT
               && data[5] != TRL_CLIENT_HELLO;

    default:
        return 0;
    }
}
