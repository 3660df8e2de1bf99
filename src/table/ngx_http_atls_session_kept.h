
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * The response to the last POST of a session, which is kept for a repetition,
 * see ngx_http_atls_retry.h.  It belongs to the session, but unlike other data
 * it may be freed at any time, even if the session is busy: it is used with the
 * lock of the shard held.
 */


#ifndef _NGX_HTTP_ATLS_SESSION_KEPT_H_INCLUDED_
#define _NGX_HTTP_ATLS_SESSION_KEPT_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_session_view.h"


#define NGX_HTTP_ATLS_PRINT_LEN     16
#define NGX_HTTP_ATLS_MIN_PRINTED   21      /* the smallest record, or more */


/*
 * The fingerprint of a POST.  In an established session, the last bytes are the
 * tag of a record, which nobody can guess.
 */

typedef struct {
    u_char                      first[NGX_HTTP_ATLS_PRINT_LEN];
    u_char                      last[NGX_HTTP_ATLS_PRINT_LEN];
    uint64_t                    length;        /* of the body */
} ngx_http_atls_print_t;


/* The response to a POST. */

struct ngx_http_atls_response_s {
    ngx_uint_t                  keep;          /* 0: forget the previous one */
    ngx_http_atls_print_t      *print;         /* of the POST */
    ngx_uint_t                  created;       /* it was the first POST */
    ngx_uint_t                  awaited;       /* 1: the POST still waits */
    ngx_uint_t                  whole;         /* 0: it is too long */
    size_t                      len;
    ngx_str_t                   prefix;        /* the first part of it */
    ngx_chain_t                *out;           /* the rest */
};


/* The response to a POST that is sent again. */

typedef struct {
    ngx_str_t                   data;          /* from the pool */
    ngx_uint_t                  created;       /* it was the first POST */
    time_t                      age;           /* Max-Age of the cookie */

    ngx_uint_t                  check;         /* the client must be accepted */
    ngx_http_atls_view_t        view;          /* for this */
} ngx_http_atls_repetition_t;


/*
 * Keeps the response with a session of the caller, instead of the previous one,
 * if there is room.  Called by ngx_http_atls_session_put(), with the lock of
 * the shard held; it is released for a while to make room.
 */

void ngx_http_atls_session_keep(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard, ngx_http_atls_session_t *session,
    ngx_http_atls_response_t *response);

/* The same without the lock, for a session that remains busy. */

void ngx_http_atls_session_hold(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_response_t *response);

/*
 * Whether the kept response of a session of the caller may be the one to this
 * POST: it begins with the same bytes.  With "whole", all of the fingerprint is
 * the same.
 */

ngx_uint_t ngx_http_atls_session_repeats(ngx_shm_zone_t *zone,
    ngx_http_atls_session_t *session, ngx_http_atls_print_t *print,
    ngx_uint_t whole);

/*
 * Looks for the response to a POST, without taking the session.  NGX_OK;
 * NGX_BUSY: the session is in use, or the POST waits; NGX_ABORT: the response
 * was not kept; NGX_DECLINED: the POST is not the last one of the session;
 * NGX_DONE: the session does not exist, or must not be used; NGX_ERROR: no
 * memory.
 */

ngx_int_t ngx_http_atls_session_retry(ngx_shm_zone_t *zone, u_char *id,
    ngx_http_atls_loc_conf_t *alcf, ngx_http_atls_print_t *print,
    ngx_pool_t *pool, ngx_http_atls_repetition_t *repetition);


#endif /* _NGX_HTTP_ATLS_SESSION_KEPT_H_INCLUDED_ */
