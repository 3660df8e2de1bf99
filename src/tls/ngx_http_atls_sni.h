
/*
 * Server selection by SNI (RFC 6066, section 3), among the servers with the
 * address on which the POST was received, or with that of the session's
 * endpoint.
 */


#ifndef _NGX_HTTP_ATLS_SNI_H_INCLUDED_
#define _NGX_HTTP_ATLS_SNI_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * The configuration of a session.  If the server selected by the client has an
 * identical location that is an endpoint, the POST is processed as if it was
 * received there; otherwise, the server's TLS directives are used, if it has a
 * certificate, and it is the default server for inner requests.
 */

typedef struct {
    ngx_http_virtual_names_t  *names;          /* virtual servers, or NULL */
    ngx_http_core_srv_conf_t  *server;         /* for inner requests */
    ngx_uint_t                 named;          /* 1: selected by name */
    ngx_uint_t                 other;          /* 1: not the server of the
                                                  POST, or of its session */
    ngx_http_atls_loc_conf_t  *conf;           /* of the endpoint */
    ngx_http_atls_loc_conf_t  *tls;            /* TLS and verify directives */

    /* location of the endpoint, for requests pinned to it */
    void                     **srv_conf;
    void                     **loc_conf;
} ngx_http_atls_target_t;


/*
 * The target of a POST without a server name.  conf: the endpoint of its
 * session, which may be another one than that of the POST.
 */

void ngx_http_atls_sni_target(ngx_http_request_t *r,
    ngx_http_atls_loc_conf_t *conf, ngx_http_atls_target_t *target);

/* Changes a target according to a server name. */

void ngx_http_atls_sni_select(ngx_http_atls_target_t *target, ngx_str_t *name,
    ngx_log_t *log);

/* The server with a name, among those of an address; NULL: none. */

ngx_http_core_srv_conf_t *ngx_http_atls_sni_find(
    ngx_http_virtual_names_t *names, ngx_str_t *name, ngx_log_t *log);

/*
 * The server name in OpenSSL's ClientHello callback, empty if there is none; it
 * points into the ClientHello.  NGX_ERROR: malformed extension.
 */

ngx_int_t ngx_http_atls_sni_client_hello(ngx_ssl_conn_t *ssl, ngx_str_t *name);


#endif /* _NGX_HTTP_ATLS_SNI_H_INCLUDED_ */
