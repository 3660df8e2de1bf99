
/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/*
 * Names of sessions in logs: a hash of the id, which does not disclose the
 * cookie.  And values sent by clients.
 */


#ifndef _NGX_HTTP_ATLS_LABEL_H_INCLUDED_
#define _NGX_HTTP_ATLS_LABEL_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The length of a value that a client has sent ("%*s"): a long one would leave
 * no room in the line for the address of the client.
 */

#define ngx_http_atls_label_len(value)  ngx_min((value)->len, 100)

/*
 * Computes $atls_session_id, NGX_HTTP_ATLS_ID_LEN bytes.  NGX_ERROR: logged.
 */

ngx_int_t ngx_http_atls_label_hash(u_char *id, u_char *hash, ngx_log_t *log);

/*
 * The first four bytes of the hash, for the debug log ("%08xD"); 0 on errors.
 */

uint32_t ngx_http_atls_label(u_char *id, ngx_log_t *log);


#endif /* _NGX_HTTP_ATLS_LABEL_H_INCLUDED_ */
