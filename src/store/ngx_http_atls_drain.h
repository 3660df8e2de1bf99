
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* Puts the idle sessions of this machine into the store when it shuts down. */


#ifndef _NGX_HTTP_ATLS_DRAIN_H_INCLUDED_
#define _NGX_HTTP_ATLS_DRAIN_H_INCLUDED_


#include "ngx_http_atls.h"


/* NGX_ERROR: logged. */

ngx_int_t ngx_http_atls_drain_init_worker(ngx_http_atls_main_conf_t *amcf,
    ngx_cycle_t *cycle);
void ngx_http_atls_drain_exit_worker(void);

/*
 * Whether sessions must not stay in the table any more, and no process with a
 * newer configuration puts them out.
 */

ngx_uint_t ngx_http_atls_drain_puts(void);

/* A session may be in the table that this process has to put out. */

void ngx_http_atls_drain_again(void);


#endif /* _NGX_HTTP_ATLS_DRAIN_H_INCLUDED_ */
