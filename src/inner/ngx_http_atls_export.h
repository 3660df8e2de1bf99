
/*
 * Exported keying material (RFC 5705; RFC 8446, section 7.5) of the session,
 * for backends that share keys with their clients: $atls_exporter, the channel
 * binding of RFC 9266, and variables defined by atls_export.
 */


#ifndef _NGX_HTTP_ATLS_EXPORT_H_INCLUDED_
#define _NGX_HTTP_ATLS_EXPORT_H_INCLUDED_


#include "ngx_http_atls.h"


/* The handler of the "atls_export" directive. */

char *ngx_http_atls_export(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Adds $atls_exporter before the configuration is parsed. */

ngx_int_t ngx_http_atls_export_init(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_EXPORT_H_INCLUDED_ */
