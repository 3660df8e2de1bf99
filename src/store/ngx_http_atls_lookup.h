
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* Where a session is that is not in the table of this machine. */


#ifndef _NGX_HTTP_ATLS_LOOKUP_H_INCLUDED_
#define _NGX_HTTP_ATLS_LOOKUP_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_store.h"


typedef enum {
    ngx_http_atls_found_none = 0,              /* unknown, or lost */
    ngx_http_atls_found_here,                  /* in the table */
    ngx_http_atls_found_soon,                  /* another POST has taken it to
                                                  this machine */
    ngx_http_atls_found_node,                  /* naming.node has it */
    ngx_http_atls_found_failed                 /* the store does not answer */
} ngx_http_atls_found_e;


typedef struct ngx_http_atls_lookup_s  ngx_http_atls_lookup_t;

typedef void (*ngx_http_atls_lookup_pt)(ngx_http_atls_lookup_t *lookup);

struct ngx_http_atls_lookup_s {
    ngx_http_atls_main_conf_t   *conf;
    u_char                       id[NGX_HTTP_ATLS_ID_LEN
                                    + NGX_HTTP_ATLS_TAG_LEN];
    ngx_http_atls_lookup_pt      handler;
    void                        *data;

    ngx_uint_t                   again;        /* its machine is gone: only
                                                  the store is asked */
    ngx_http_atls_found_e        found;
    ngx_uint_t                   owned;        /* the store named the owner */
    ngx_uint_t                   missed;       /* a machine is gone, and may
                                                  have put the session out */
    ngx_uint_t                   key;          /* to be tried next */

    ngx_http_atls_taking_t       taking;
    ngx_http_atls_naming_t       naming;
};


/*
 * Looks for a session; conf, id with its tag, handler, data and again are set.
 * The handler is called later, or at once.
 */

void ngx_http_atls_lookup(ngx_http_atls_lookup_t *lookup);
void ngx_http_atls_lookup_cancel(ngx_http_atls_lookup_t *lookup);


#endif /* _NGX_HTTP_ATLS_LOOKUP_H_INCLUDED_ */
