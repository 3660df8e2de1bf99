
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_ece.h"
#include "trl_message.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_coding.h"

#include <openssl/rand.h>


static ngx_int_t ngx_http_atls_coding_keyid(ngx_http_atls_coding_t *coding,
    ngx_str_t *text);
static ngx_int_t ngx_http_atls_coding_key(const trl_state_t *state,
    trl_message_e kind, uint64_t number, trl_ece_t *ece, u_char *salt,
    size_t size, ngx_log_t *log);
static ngx_int_t ngx_http_atls_coding_end(ngx_http_atls_body_t *body);
static ngx_int_t ngx_http_atls_coding_refuse(ngx_http_atls_body_t *body,
    const char *reason);


ngx_int_t
ngx_http_atls_coding_read(ngx_http_atls_coding_t *coding,
    ngx_http_atls_body_t *body, ngx_str_t *text)
{
    u_char            *data;
    size_t             len, n;
    ngx_int_t          rc;
    trl_ece_header_t   header;

    data = NULL;
    len = 0;

    rc = ngx_http_atls_body_peek(body, NGX_HTTP_ATLS_CODING_HEADER, &data,
                                 &len);

    if (rc != NGX_OK && rc != NGX_DONE) {
        return rc;
    }

    n = trl_ece_header_read(&header, data, len);

    if (n == 0 || header.size < TRL_ECE_MIN_SIZE
        || header.size > NGX_HTTP_ATLS_CODING_MAX
        || header.keyid_len > NGX_HTTP_ATLS_KEYID_LEN)
    {
        ngx_log_error(NGX_LOG_INFO, body->request->connection->log, 0,
                      "atls message has an invalid header");
        return NGX_DECLINED;
    }

    coding->in.size = header.size;
    coding->keyid_len = header.keyid_len;

    ngx_memcpy(coding->keyid, header.keyid, header.keyid_len);
    ngx_memcpy(coding->in_salt, header.salt, TRL_ECE_SALT);

    ngx_http_atls_body_skip(body, n);

    if (ngx_http_atls_coding_keyid(coding, text) != NGX_OK) {
        ngx_log_error(NGX_LOG_INFO, body->request->connection->log, 0,
                      "atls message has an invalid keyid");
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_coding_keyid(ngx_http_atls_coding_t *coding, ngx_str_t *text)
{
    u_char  *p;
    size_t   rest;

    if (coding->keyid_len <= NGX_HTTP_ATLS_ID_TEXT_LEN) {
        return NGX_DECLINED;
    }

    text->data = coding->keyid;
    text->len = NGX_HTTP_ATLS_ID_TEXT_LEN;

    p = coding->keyid + NGX_HTTP_ATLS_ID_TEXT_LEN;
    rest = coding->keyid_len - NGX_HTTP_ATLS_ID_TEXT_LEN - 1;

    return *p == '.' && trl_message_number(p + 1, rest, &coding->number) == 0
           ? NGX_OK : NGX_DECLINED;
}


ngx_int_t
ngx_http_atls_coding_in(ngx_http_atls_coding_t *coding,
    const trl_state_t *state, ngx_log_t *log)
{
    return ngx_http_atls_coding_key(state, TRL_MESSAGE_REQUEST, coding->number,
                                    &coding->in, coding->in_salt,
                                    coding->in.size, log);
}


ngx_int_t
ngx_http_atls_coding_out(ngx_http_atls_coding_t *coding,
    const trl_state_t *state, size_t size, ngx_pool_t *pool, ngx_log_t *log)
{
    size = ngx_min(size + TRL_ECE_OVERHEAD,
                   ngx_max(coding->in.size, NGX_HTTP_ATLS_CODING_MIN));

    coding->plain_max = size - TRL_ECE_OVERHEAD;

    coding->plain = ngx_palloc(pool, coding->plain_max);
    if (coding->plain == NULL) {
        return NGX_ERROR;
    }

    if (RAND_bytes(coding->out_salt, TRL_ECE_SALT) != 1) {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    return ngx_http_atls_coding_key(state, TRL_MESSAGE_RESPONSE, coding->number,
                                    &coding->out, coding->out_salt, size, log);
}


static ngx_int_t
ngx_http_atls_coding_key(const trl_state_t *state, trl_message_e kind,
    uint64_t number, trl_ece_t *ece, u_char *salt, size_t size, ngx_log_t *log)
{
    int      rc;
    uint8_t  key[TRL_MESSAGE_KEY];

    rc = trl_message_key(state, kind, number, key);

    if (rc == 0) {
        rc = trl_ece_init(ece, key, TRL_MESSAGE_KEY, salt, size,
                          kind == TRL_MESSAGE_RESPONSE);
    }

    ngx_explicit_memzero(key, TRL_MESSAGE_KEY);

    if (rc == -1) {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0,
                      "atls key of a message cannot be derived");
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_atls_coding_done(ngx_http_atls_coding_t *coding)
{
    trl_ece_done(&coding->in);
    trl_ece_done(&coding->out);

    if (coding->plain) {
        ngx_explicit_memzero(coding->plain, coding->plain_len);
        coding->plain_len = 0;
    }
}


ngx_int_t
ngx_http_atls_coding_open(ngx_http_atls_coding_t *coding,
    ngx_http_atls_body_t *body, u_char **data, size_t *len)
{
    u_char     *record;
    size_t      size;
    ssize_t     n;
    ngx_int_t   rc;

    if (coding->in.last) {
        return ngx_http_atls_coding_end(body);
    }

    rc = ngx_http_atls_body_peek(body, coding->in.size, &record, &size);

    if (rc == NGX_DONE) {
        return ngx_http_atls_coding_refuse(body, "the last record is missing");
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, body->request->connection->log, 0,
                   "atls message record in: %uz, number:%uL", size,
                   coding->in.key.seq);

    n = trl_ece_open(&coding->in, record, size);

    if (n < 0) {
        return ngx_http_atls_coding_refuse(body, "a record is not authentic");
    }

    ngx_http_atls_body_skip(body, size);

    *data = record;
    *len = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_coding_end(ngx_http_atls_body_t *body)
{
    ngx_int_t  rc;

    rc = ngx_http_atls_body_fill(body);

    if (rc == NGX_OK) {
        return ngx_http_atls_coding_refuse(body, "data after the last record");
    }

    return rc;
}


static ngx_int_t
ngx_http_atls_coding_refuse(ngx_http_atls_body_t *body, const char *reason)
{
    ngx_log_error(NGX_LOG_INFO, body->request->connection->log, 0,
                  "atls message refused: %s", reason);

    return NGX_DECLINED;
}


size_t
ngx_http_atls_coding_room(const ngx_http_atls_coding_t *coding)
{
    return coding->plain_max - coding->plain_len;
}


void
ngx_http_atls_coding_add(ngx_http_atls_coding_t *coding,
    const struct iovec *iov, ngx_uint_t niov)
{
    ngx_uint_t  i;

    for (i = 0; i < niov; i++) {
        ngx_memcpy(coding->plain + coding->plain_len, iov[i].iov_base,
                   iov[i].iov_len);
        coding->plain_len += iov[i].iov_len;
    }
}


size_t
ngx_http_atls_coding_size(const ngx_http_atls_coding_t *coding,
    ngx_uint_t last)
{
    return NGX_HTTP_ATLS_CODING_HEADER + TRL_ECE_OVERHEAD
           + (last ? coding->plain_len : coding->plain_max);
}


ssize_t
ngx_http_atls_coding_seal(ngx_http_atls_coding_t *coding, ngx_uint_t last,
    u_char *buf)
{
    u_char            *p;
    ssize_t            n;
    trl_ece_header_t   header;

    p = buf;

    if (!coding->started) {
        header.salt = coding->out_salt;
        header.size = (uint32_t) coding->out.size;
        header.keyid = coding->keyid;
        header.keyid_len = coding->keyid_len;

        p += trl_ece_header_write(&header, p);

        coding->started = 1;
    }

    ngx_memcpy(p, coding->plain, coding->plain_len);

    n = trl_ece_seal(&coding->out, p, coding->plain_len, (int) last);

    coding->plain_len = 0;

    return (n < 0) ? -1 : p + n - buf;
}
