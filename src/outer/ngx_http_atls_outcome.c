
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_inner_io.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_relayed.h"


#define NGX_HTTP_ATLS_OUTCOME_LEN  (NGX_INT_T_LEN + 4 * (NGX_INT64_LEN + 1))


typedef struct {
    ngx_str_t                   name;
    ngx_http_get_variable_pt    handler;
    uintptr_t                   data;
} ngx_http_atls_outcome_variable_t;


static void ngx_http_atls_outcome_count(void *data);
static ngx_int_t ngx_http_atls_outcome_header(ngx_http_request_t *r,
    u_char *text, size_t len);
static ngx_int_t ngx_http_atls_variable_post(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atls_variable_retry(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atls_variable_post_named(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atls_variable_post_session(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_atls_variable_post_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* Without problems, in the order of ngx_http_atls_outcome_e. */

static ngx_str_t  ngx_http_atls_outcome_names[] = {
    ngx_string("nginx"),
    ngx_string("handshake"),
    ngx_string("opened"),
    ngx_string("served"),
    ngx_string("parked"),
    ngx_string("idle"),
    ngx_string("closed"),
    ngx_string("handshake-failed"),
    ngx_string("record-refused"),
    ngx_string("alert"),
    ngx_string("cut"),
    ngx_string("retried")
};


/* In the order of ngx_http_atls_named_e. */

static ngx_str_t  ngx_http_atls_outcome_nameds[] = {
    ngx_null_string,
    ngx_string("cookie"),
    ngx_string("location"),
    ngx_string("keyid")
};


static ngx_http_atls_outcome_variable_t  ngx_http_atls_outcome_vars[] = {

    { ngx_string("atls_post"), ngx_http_atls_variable_post, 0 },

    { ngx_string("atls_post_named"), ngx_http_atls_variable_post_named, 0 },

    { ngx_string("atls_retry"), ngx_http_atls_variable_retry, 0 },

    { ngx_string("atls_post_session"), ngx_http_atls_variable_post_session, 0 },

    { ngx_string("atls_post_records_in"), ngx_http_atls_variable_post_number,
      offsetof(ngx_http_atls_outcome_t, records[NGX_HTTP_ATLS_IN]) },

    { ngx_string("atls_post_records_out"), ngx_http_atls_variable_post_number,
      offsetof(ngx_http_atls_outcome_t, records[NGX_HTTP_ATLS_OUT]) },

    { ngx_string("atls_post_bytes_in"), ngx_http_atls_variable_post_number,
      offsetof(ngx_http_atls_outcome_t, bytes[NGX_HTTP_ATLS_IN]) },

    { ngx_string("atls_post_bytes_out"), ngx_http_atls_variable_post_number,
      offsetof(ngx_http_atls_outcome_t, bytes[NGX_HTTP_ATLS_OUT]) },

    { ngx_null_string, NULL, 0 }
};


ngx_int_t
ngx_http_atls_outcome_init(ngx_conf_t *cf)
{
    ngx_http_variable_t               *v;
    ngx_http_atls_outcome_variable_t  *var;

    for (var = ngx_http_atls_outcome_vars; var->name.len; var++) {

        v = ngx_http_add_variable(cf, &var->name, NGX_HTTP_VAR_NOCACHEABLE);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->get_handler = var->handler;
        v->data = var->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_outcome_create(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_atls_outcome_t  *outcome;

    /* "error_page" may redirect a request to another endpoint */

    if (ngx_http_atls_outcome_get(r)) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_atls_outcome_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    outcome = cln->data;

    ngx_memzero(outcome, sizeof(ngx_http_atls_outcome_t));

    outcome->request = r;
    outcome->conf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    cln->handler = ngx_http_atls_outcome_count;

    return NGX_OK;
}


ngx_http_atls_outcome_t *
ngx_http_atls_outcome_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_atls_outcome_count) {
            return cln->data;
        }
    }

    return NULL;
}


/* The handler of the pool: the status is final, and the request is logged. */

static void
ngx_http_atls_outcome_count(void *data)
{
    ngx_http_atls_outcome_t *outcome = data;

    ngx_time_t          *tp;
    ngx_uint_t           status;
    ngx_msec_int_t       ms;
    ngx_http_request_t  *r;

    r = outcome->request;

    ngx_http_atls_count(posts[outcome->value]);
    ngx_http_atls_count(named[outcome->named]);

    if (outcome->value == ngx_http_atls_outcome_nginx) {
        status = r->err_status ? r->err_status : r->headers_out.status;

        ngx_http_atls_count_key(ngx_http_atls_process.counters->statuses,
                                status);
    }

    /* as $request_time */

    tp = ngx_timeofday();

    ms = (ngx_msec_int_t) ((tp->sec - r->start_sec) * 1000
                           + (tp->msec - r->start_msec));

    ngx_http_atls_count_time(&ngx_http_atls_process.counters->post_time,
                             ngx_max(ms, 0));
}


void
ngx_http_atls_outcome_named(ngx_http_request_t *r, ngx_uint_t tracking)
{
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL) {
        return;
    }

    if (tracking & NGX_HTTP_ATLS_TRACKING_KEYID) {
        outcome->named = ngx_http_atls_named_keyid;
        return;
    }

    outcome->named = (tracking & NGX_HTTP_ATLS_TRACKING_LOCATION)
                     ? ngx_http_atls_named_location
                     : (tracking & NGX_HTTP_ATLS_TRACKING_COOKIE)
                       ? ngx_http_atls_named_cookie
                       : ngx_http_atls_named_none;
}


void
ngx_http_atls_outcome_session(ngx_http_request_t *r, u_char *id)
{
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL || outcome->id.len) {
        return;
    }

    outcome->id.data = ngx_pnalloc(r->pool, NGX_HTTP_ATLS_ID_LEN);

    if (outcome->id.data) {
        ngx_memcpy(outcome->id.data, id, NGX_HTTP_ATLS_ID_LEN);
        outcome->id.len = NGX_HTTP_ATLS_ID_LEN;
    }
}


ngx_int_t
ngx_http_atls_outcome_set(ngx_http_atls_post_t *post, ngx_uint_t value)
{
    u_char                   *p;
    ngx_http_request_t       *r;
    ngx_http_atls_outcome_t  *outcome;
    u_char                    text[NGX_HTTP_ATLS_OUTCOME_LEN];

    r = post->request;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD outcome: %ui", post->label, value);

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL) {
        p = ngx_sprintf(text, "%ui %uL %uL %uL %uL", value,
                        post->records[NGX_HTTP_ATLS_IN],
                        post->records[NGX_HTTP_ATLS_OUT],
                        post->bytes[NGX_HTTP_ATLS_IN],
                        post->bytes[NGX_HTTP_ATLS_OUT]);

        return ngx_http_atls_outcome_header(r, text, p - text);
    }

    outcome->value = value;
    outcome->known = 1;

    ngx_memcpy(outcome->records, post->records, sizeof(outcome->records));
    ngx_memcpy(outcome->bytes, post->bytes, sizeof(outcome->bytes));

    if (post->session) {
        ngx_http_atls_outcome_session(r, post->session->id);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_atls_outcome_begin(ngx_http_atls_post_t *post)
{
    u_char  *p, text[NGX_INT_T_LEN];

    if (!ngx_http_atls_relayed(post->request->connection)) {
        return NGX_OK;
    }

    p = ngx_sprintf(text, "%d", ngx_http_atls_outcome_served);

    return ngx_http_atls_outcome_header(post->request, text, p - text);
}


ngx_int_t
ngx_http_atls_outcome_set_problem(ngx_http_request_t *r, ngx_uint_t problem)
{
    u_char                   *p, text[NGX_INT_T_LEN];
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL) {
        p = ngx_sprintf(text, "%d", ngx_http_atls_problem_outcome(problem));

        return ngx_http_atls_outcome_header(r, text, p - text);
    }

    outcome->value = ngx_http_atls_problem_outcome(problem);

    return NGX_OK;
}


/* Adds the header, unless the header of the response was sent. */

static ngx_int_t
ngx_http_atls_outcome_header(ngx_http_request_t *r, u_char *text, size_t len)
{
    ngx_str_t  value;

    if (r->header_sent || !ngx_http_atls_relayed(r->connection)) {
        return NGX_OK;
    }

    value.len = len;
    value.data = ngx_pnalloc(r->pool, len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value.data, text, len);

    return ngx_http_atls_add_header(r, NGX_HTTP_ATLS_OUTCOME_HEADER, &value);
}


/* The value is from a worker of the same master, but maybe an older one. */

void
ngx_http_atls_outcome_relayed(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char                   *p, *last;
    uint64_t                  numbers[5];
    ngx_uint_t                n;
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL) {
        return;
    }

    ngx_memzero(numbers, sizeof(numbers));

    n = 0;
    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        if (*p == ' ') {
            if (++n == 5) {
                return;
            }

            continue;
        }

        if (*p < '0' || *p > '9') {
            return;
        }

        numbers[n] = numbers[n] * 10 + (*p - '0');
    }

    if (numbers[0] >= ngx_http_atls_outcomes) {
        return;
    }

    outcome->value = (ngx_uint_t) numbers[0];
    outcome->known = (n == 4);

    ngx_memcpy(outcome->records, &numbers[1], sizeof(outcome->records));
    ngx_memcpy(outcome->bytes, &numbers[3], sizeof(outcome->bytes));
}


ngx_str_t
ngx_http_atls_outcome_name(ngx_uint_t value)
{
    if (value < ngx_http_atls_outcome_problem) {
        return ngx_http_atls_outcome_names[value];
    }

    return ngx_http_atls_problem_name(NGX_HTTP_ATLS_PROBLEM + 1 + value
                                      - ngx_http_atls_outcome_problem);
}


ngx_uint_t
ngx_http_atls_outcome_status(ngx_uint_t value)
{
    if (value < ngx_http_atls_outcome_problem) {
        return NGX_HTTP_OK;
    }

    return ngx_http_atls_problem_status(NGX_HTTP_ATLS_PROBLEM + 1 + value
                                        - ngx_http_atls_outcome_problem);
}


static ngx_int_t
ngx_http_atls_variable_post(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                  name;
    ngx_http_atls_outcome_t   *outcome;
    ngx_http_atls_loc_conf_t  *alcf;

    outcome = ngx_http_atls_outcome_get(r);

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_atls_module);

    if (outcome == NULL
        && (!alcf->enable || ngx_http_atls_inner_get(r->connection)))
    {
        v->not_found = 1;
        return NGX_OK;
    }

    name = ngx_http_atls_outcome_name(outcome ? outcome->value
                                      : ngx_http_atls_outcome_nginx);

    v->len = name.len;
    v->data = name.data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* The outcome is known of relayed requests, too. */

static ngx_int_t
ngx_http_atls_variable_retry(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome && outcome->value == ngx_http_atls_outcome_retried) {
        v->data = (u_char *) "kept";

    } else if (outcome
               && outcome->value
                  == (ngx_uint_t) ngx_http_atls_problem_outcome(
                                                  NGX_HTTP_ATLS_ANSWER_LOST))
    {
        v->data = (u_char *) "lost";

    } else {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = 4;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_post_named(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                *name;
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL || outcome->named == ngx_http_atls_named_none) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = &ngx_http_atls_outcome_nameds[outcome->named];

    v->data = name->data;
    v->len = name->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_post_session(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                   *p, hash[NGX_HTTP_ATLS_ID_LEN];
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL || outcome->id.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 2 * NGX_HTTP_ATLS_ID_LEN);

    if (p == NULL
        || ngx_http_atls_label_hash(outcome->id.data, hash, r->connection->log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    v->len = 2 * NGX_HTTP_ATLS_ID_LEN;
    v->data = p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    (void) ngx_hex_dump(p, hash, NGX_HTTP_ATLS_ID_LEN);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_variable_post_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_atls_outcome_t  *outcome;

    outcome = ngx_http_atls_outcome_get(r);

    if (outcome == NULL || !outcome->known) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%uL",
                         *(uint64_t *) ((u_char *) outcome + data))
             - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
