
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Everything in a shard that is derived from its entries: buckets, queues and
 * counts.  For ngx_http_atls_table.c, which calls these functions with the lock
 * of the shard held.
 */


#ifndef _NGX_HTTP_ATLS_TABLE_REPAIR_H_INCLUDED_
#define _NGX_HTTP_ATLS_TABLE_REPAIR_H_INCLUDED_


#include "ngx_http_atls.h"
#include "ngx_http_atls_table.h"


/* Initializes it: the shard is empty. */

void ngx_http_atls_table_init(ngx_http_atls_shard_t *shard);

/* Rebuilds it after a process died while changing the shard, and logs this. */

void ngx_http_atls_table_repair(ngx_http_atls_zone_t *z,
    ngx_http_atls_shard_t *shard);


#endif /* _NGX_HTTP_ATLS_TABLE_REPAIR_H_INCLUDED_ */
