
/*
 * Differences between supported nginx versions (1.22.1 and later), and between
 * systems.
 */


#ifndef _NGX_HTTP_ATLS_COMPAT_H_INCLUDED_
#define _NGX_HTTP_ATLS_COMPAT_H_INCLUDED_


#include "ngx_http_atls.h"


/* 1.23.0: linked header lists */

#if (nginx_version >= 1023000)
#define ngx_http_atls_link_header(h)  (h)->next = NULL
#else
#define ngx_http_atls_link_header(h)
#endif


/* 1.23.2: TLVs of the PROXY protocol */

#if (nginx_version >= 1023002)
#define ngx_http_atls_proxy_tlvs(pp)  (&(pp)->tlvs)
#else
#define ngx_http_atls_proxy_tlvs(pp)  NULL
#endif


/* a stream of HTTP/2 or, since 1.25.0, HTTP/3 has no socket */

#if (NGX_HTTP_V3)
#define ngx_http_atls_is_quic(r)  ((r)->connection->quic != NULL)
#else
#define ngx_http_atls_is_quic(r)  0
#endif

#if (NGX_HTTP_V2)
#define ngx_http_atls_is_stream(r)                                            \
    ((r)->stream != NULL || ngx_http_atls_is_quic(r))
#else
#define ngx_http_atls_is_stream(r)  ngx_http_atls_is_quic(r)
#endif


/* 1.27.2: an argument to keep trailers */

#if (nginx_version >= 1027002)
#define ngx_http_atls_parse_chunked(r, b, ctx)                                \
    ngx_http_parse_chunked(r, b, ctx, 0)
#else
#define ngx_http_atls_parse_chunked(r, b, ctx)                                \
    ngx_http_parse_chunked(r, b, ctx)
#endif


/*
 * 1.29.2: core selects servers in the ClientHello callback, before the version
 * of TLS is selected
 */

#if (nginx_version >= 1029002)

#define ngx_http_atls_core_client_hello(ssl, ad, arg)                         \
    ngx_ssl_client_hello_callback(ssl, ad, arg)
#define ngx_http_atls_core_protocols(addr, server)  (server)

#else

#define ngx_http_atls_core_client_hello(ssl, ad, arg)                         \
    SSL_CLIENT_HELLO_SUCCESS
#define ngx_http_atls_core_protocols(addr, server)  ((addr)->default_server)

#endif


/* removed in 1.25.1: "ssl on" also enables TLS for inner connections */

#if (nginx_version < 1025001)

#define ngx_http_atls_ssl_on(cf)                                              \
    (((ngx_http_ssl_srv_conf_t *)                                             \
      ngx_http_conf_get_module_srv_conf(cf, ngx_http_ssl_module))->enable     \
     == 1)

#else
#define ngx_http_atls_ssl_on(cf)  0
#endif


/* Linux 3.17, FreeBSD 13 */

#ifdef MFD_CLOEXEC
#define ngx_http_atls_memory_file(name)  memfd_create(name, MFD_CLOEXEC)
#else
#define ngx_http_atls_memory_file(name)  NGX_INVALID_FILE
#endif


/* Linux 3.4; FreeBSD */

#if defined(MADV_DONTDUMP)
#define ngx_http_atls_no_dump(p, size)  madvise(p, size, MADV_DONTDUMP)
#elif defined(MADV_NOCORE)
#define ngx_http_atls_no_dump(p, size)  madvise(p, size, MADV_NOCORE)
#else
#define ngx_http_atls_no_dump(p, size)  0
#endif


/* Linux: autobind to an abstract address */

#if (NGX_LINUX)
#define ngx_http_atls_has_autobind  1
#else
#define ngx_http_atls_has_autobind  0
#endif


/* with semaphores, processes waiting for a mutex sleep */

#if (NGX_HAVE_ATOMIC_OPS && NGX_HAVE_POSIX_SEM)

#define ngx_http_atls_shmtx_wake(mtx)                                         \
    if ((mtx)->semaphore) {                                                   \
        (void) sem_post(&(mtx)->sem);                                         \
    }

#else
#define ngx_http_atls_shmtx_wake(mtx)
#endif


#endif /* _NGX_HTTP_ATLS_COMPAT_H_INCLUDED_ */
