
/*
 * The bytes of a POST and of the response to it, as they are sent and received.
 */


#ifndef ATLS_CLIENT_OUTER_IO_H_INCLUDED
#define ATLS_CLIENT_OUTER_IO_H_INCLUDED


#include <curl/curl.h>

#include "outer.h"


/* Callbacks of libcurl.  The last one is called about once a second. */

int atls_outer_once(void *data, char *remote, char *local, int remote_port,
    int local_port);
size_t atls_outer_read(char *buf, size_t size, size_t n, void *data);
size_t atls_outer_header(char *line, size_t size, size_t n, void *data);
size_t atls_outer_write(char *bytes, size_t size, size_t n, void *data);
int atls_outer_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow);

/* Called when the response header is complete. */

void atls_outer_begin(atls_outer_t *outer);


#endif /* ATLS_CLIENT_OUTER_IO_H_INCLUDED */
