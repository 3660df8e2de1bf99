
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * What became of an outer request, for atls_status and for the access log:
 * counted once, by the worker that has the connection of the client, when the
 * request ends.
 */


#ifndef _NGX_HTTP_ATLS_OUTCOME_H_INCLUDED_
#define _NGX_HTTP_ATLS_OUTCOME_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_counters.h"


typedef struct {
    ngx_http_request_t         *request;
    ngx_http_atls_loc_conf_t   *conf;          /* of the endpoint */
    ngx_uint_t                  value;         /* ngx_http_atls_outcome_e */
    ngx_http_atls_named_e       named;
    ngx_str_t                   id;            /* of the session, or empty */

    /* if it was relayed and the response was streamed, they are unknown */

    ngx_uint_t                  known;
    uint64_t                    records[2];
    uint64_t                    bytes[2];      /* of plaintext */
} ngx_http_atls_outcome_t;


/* Adds the variables of outer requests. */

ngx_int_t ngx_http_atls_outcome_init(ngx_conf_t *cf);

/*
 * Called for each outer request, once its location is known; or, if it was
 * rejected before, when it is logged.
 */

ngx_int_t ngx_http_atls_outcome_create(ngx_http_request_t *r);

/*
 * NULL: not a request to an endpoint, or relayed to this worker.  Internal
 * redirects do not matter.
 */

ngx_http_atls_outcome_t *ngx_http_atls_outcome_get(ngx_http_request_t *r);

/* Sets how the session is named: NGX_HTTP_ATLS_TRACKING_*. */

void ngx_http_atls_outcome_named(ngx_http_request_t *r, ngx_uint_t tracking);

/* Sets the identifier of the session, which is copied. */

void ngx_http_atls_outcome_session(ngx_http_request_t *r, u_char *id);

/*
 * The following functions set the outcome, before the header is sent or at the
 * end.  If the request was relayed, they add a header for the other worker.
 * NGX_ERROR: no memory.
 */

ngx_int_t ngx_http_atls_outcome_set(ngx_http_atls_post_t *post,
    ngx_uint_t value);

/* If the response begins, and the numbers are not known yet. */

ngx_int_t ngx_http_atls_outcome_begin(ngx_http_atls_post_t *post);

/* If the request is answered with a problem. */

ngx_int_t ngx_http_atls_outcome_set_problem(ngx_http_request_t *r,
    ngx_uint_t problem);

/* In the relaying worker: reads this header. */

void ngx_http_atls_outcome_relayed(ngx_http_request_t *r, ngx_str_t *value);

/* The value of $atls_post, and the status. */

ngx_str_t ngx_http_atls_outcome_name(ngx_uint_t value);
ngx_uint_t ngx_http_atls_outcome_status(ngx_uint_t value);


#endif /* _NGX_HTTP_ATLS_OUTCOME_H_INCLUDED_ */
