
/*
 * One endpoint serves many names: which server a client asks for by SNI
 * (RFC 6066, section 3), among those of the address that its POST came to.
 */


#ifndef _NGX_HTTP_ATLS_SNI_H_INCLUDED_
#define _NGX_HTTP_ATLS_SNI_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * What a session goes by.  If the server that the client asks for has the same
 * location, and it is an endpoint, it is as if the POST had come to that one;
 * if not, its TLS directives count at least, if it has a certificate, and it is
 * the server that inner requests are for.
 */

typedef struct {
    ngx_http_core_srv_conf_t  *server;         /* of inner requests */
    ngx_uint_t                 named;          /* 1: found by its name */
    ngx_http_atls_loc_conf_t  *conf;           /* of the endpoint */
    ngx_http_atls_loc_conf_t  *tls;            /* TLS and verify directives */

    /* of the endpoint's location, for requests that are pinned to it */
    void                     **srv_conf;
    void                     **loc_conf;
} ngx_http_atls_target_t;


/* The target of a POST without regard to any name. */

void ngx_http_atls_sni_target(ngx_http_request_t *r,
    ngx_http_atls_target_t *target);

/* Changes a target to what a name asks for, among virtual names or NULL. */

void ngx_http_atls_sni_select(ngx_http_atls_target_t *target,
    ngx_http_virtual_names_t *names, ngx_str_t *name, ngx_log_t *log);

/*
 * Inside of OpenSSL's ClientHello callback: the name that it asks for, empty
 * if none; it points into the ClientHello.  NGX_ERROR: a malformed extension.
 */

ngx_int_t ngx_http_atls_sni_client_hello(ngx_ssl_conn_t *ssl, ngx_str_t *name);


#endif /* _NGX_HTTP_ATLS_SNI_H_INCLUDED_ */
