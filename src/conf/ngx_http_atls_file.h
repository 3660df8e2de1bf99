
/* Small files with keys or passwords, read when the configuration is loaded. */


#ifndef _NGX_HTTP_ATLS_FILE_H_INCLUDED_
#define _NGX_HTTP_ATLS_FILE_H_INCLUDED_


#include "ngx_http_atls.h"


/*
 * Returns the size of the file, which must be less than that of the buffer, or
 * NGX_ERROR, logged.  The caller must wipe the buffer.
 */

ssize_t ngx_http_atls_file_read(ngx_conf_t *cf, ngx_str_t *name, u_char *buf,
    size_t size);


#endif /* _NGX_HTTP_ATLS_FILE_H_INCLUDED_ */
