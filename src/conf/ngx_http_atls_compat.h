
/*
 * Differences between supported nginx versions (1.22.1 and later), and between
 * systems.
 */


#ifndef _NGX_HTTP_ATLS_COMPAT_H_INCLUDED_
#define _NGX_HTTP_ATLS_COMPAT_H_INCLUDED_


#include "ngx_http_atls.h"


/* 1.23.0: headers of a name are linked */

#if (nginx_version >= 1023000)
#define ngx_http_atls_link_header(h)  (h)->next = NULL
#else
#define ngx_http_atls_link_header(h)
#endif


/* 1.23.2: the TLVs of the PROXY protocol are kept */

#if (nginx_version >= 1023002)
#define ngx_http_atls_proxy_tlvs(pp)  (&(pp)->tlvs)
#else
#define ngx_http_atls_proxy_tlvs(pp)  NULL
#endif


/* 1.25.0: QUIC */

#if (nginx_version >= 1025000)
#define ngx_http_atls_no_quic(conf)  (conf)->quic = 0
#else
#define ngx_http_atls_no_quic(conf)
#endif


/* a stream of HTTP/2, or, since 1.25.0, of HTTP/3: no socket belongs to it */

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


/* 1.27.2: whether trailers are kept */

#if (nginx_version >= 1027002)
#define ngx_http_atls_parse_chunked(r, b, ctx)                                \
    ngx_http_parse_chunked(r, b, ctx, 0)
#else
#define ngx_http_atls_parse_chunked(r, b, ctx)                                \
    ngx_http_parse_chunked(r, b, ctx)
#endif


/* until 1.25.1: "ssl on", which would turn inner connections to TLS too */

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


/* Linux: the kernel finds a name for a local socket, outside of file systems */

#if (NGX_LINUX)
#define ngx_http_atls_has_autobind  1
#else
#define ngx_http_atls_has_autobind  0
#endif


/* processes that wait for a lock of core's sleep where there are semaphores */

#if (NGX_HAVE_ATOMIC_OPS && NGX_HAVE_POSIX_SEM)

#define ngx_http_atls_shmtx_wake(mtx)                                         \
    if ((mtx)->semaphore) {                                                   \
        (void) sem_post(&(mtx)->sem);                                         \
    }

#else
#define ngx_http_atls_shmtx_wake(mtx)
#endif


#endif /* _NGX_HTTP_ATLS_COMPAT_H_INCLUDED_ */
