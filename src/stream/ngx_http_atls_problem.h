
/*
 * Error responses to outer POSTs: application/problem+json, RFC 9457.
 */


#ifndef _NGX_HTTP_ATLS_PROBLEM_H_INCLUDED_
#define _NGX_HTTP_ATLS_PROBLEM_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"


/* With the outcome, from the worker that serves a relayed POST. */

#define NGX_HTTP_ATLS_OUTCOME_HEADER  "Atls-Post"

#define ngx_http_atls_problem_outcome(problem)                                \
    (int) (ngx_http_atls_outcome_problem + (problem)                          \
           - NGX_HTTP_ATLS_PROBLEM - 1)

#define NGX_HTTP_ATLS_GONE  410                /* not defined in core */


/* Codes larger than any status, returned instead; each has a status. */

typedef enum {
    NGX_HTTP_ATLS_PROBLEM = 1000,

    NGX_HTTP_ATLS_EMPTY_BODY,                  /* 400 */
    NGX_HTTP_ATLS_NOT_TLS,
    NGX_HTTP_ATLS_UNREADABLE_BODY,
    NGX_HTTP_ATLS_MESSAGE_REFUSED,
    NGX_HTTP_ATLS_KEYS_REFUSED,                /* 403 */
    NGX_HTTP_ATLS_METHOD,                      /* 405 */
    NGX_HTTP_ATLS_SESSION_BUSY,                /* 409 */
    NGX_HTTP_ATLS_NOT_NEXT,
    NGX_HTTP_ATLS_MESSAGE_REPEATED,
    NGX_HTTP_ATLS_HALF_OPEN,
    NGX_HTTP_ATLS_SESSION_UNKNOWN,             /* 410 */
    NGX_HTTP_ATLS_SESSION_FOREIGN,
    NGX_HTTP_ATLS_SESSION_ELSEWHERE,
    NGX_HTTP_ATLS_SESSION_REFUSED,
    NGX_HTTP_ATLS_HANDSHAKE_TIMEOUT,
    NGX_HTTP_ATLS_SESSION_LOST,
    NGX_HTTP_ATLS_ANSWER_LOST,
    NGX_HTTP_ATLS_NO_COOKIE,
    NGX_HTTP_ATLS_NO_LOCATION,
    NGX_HTTP_ATLS_TOO_LARGE,                   /* 413, no Content-Length */
    NGX_HTTP_ATLS_MEDIA_TYPE,                  /* 415 */
    NGX_HTTP_ATLS_CONTENT_CODING,
    NGX_HTTP_ATLS_INTERNAL_ERROR,              /* 500 */
    NGX_HTTP_ATLS_PAYLOAD_REFUSED,             /* 502 */
    NGX_HTTP_ATLS_ZONE_FULL,                   /* 503 */
    NGX_HTTP_ATLS_TOO_MANY_HANDSHAKES,
    NGX_HTTP_ATLS_TOO_FEW_CONNECTIONS,
    NGX_HTTP_ATLS_STORE_UNREACHABLE
} ngx_http_atls_problem_e;


/* The status of a problem; 0 for other codes. */

ngx_uint_t ngx_http_atls_problem_status(ngx_uint_t problem);

/* The last part of its type. */

ngx_str_t ngx_http_atls_problem_name(ngx_uint_t problem);

/*
 * Sends the response with its headers.  Returns a code for
 * ngx_http_finalize_request().
 */

ngx_int_t ngx_http_atls_problem(ngx_http_request_t *r, ngx_uint_t problem);

/*
 * Writes the whole response, for another worker; returns its end.  The cookie
 * may be NULL.
 */

u_char *ngx_http_atls_problem_write(ngx_uint_t problem, ngx_str_t *cookie,
    u_char *buf, size_t size);

/*
 * Removes the headers of a response that have this name or, if it ends with a
 * hyphen, that begin with it.
 */

void ngx_http_atls_remove_headers(ngx_http_request_t *r, const char *name);

/* Adds a header to a response. */

ngx_int_t ngx_http_atls_add_header(ngx_http_request_t *r, const char *key,
    ngx_str_t *value);


#endif /* _NGX_HTTP_ATLS_PROBLEM_H_INCLUDED_ */
