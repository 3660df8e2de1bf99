
/*
 * --fallback: plain HTTPS with libcurl if the service's certificate is trusted.
 */


#ifndef ATLS_CMD_FALLBACK_H_INCLUDED
#define ATLS_CMD_FALLBACK_H_INCLUDED


#include <curl/curl.h>

#include "transfer.h"


#define CMD_FALLBACK_UNTRUSTED  (-1)    /* and nothing was sent */


typedef struct {
    CURL    *curl;                      /* created on first use */
} cmd_fallback_t;


/* Returns an exit code, or CMD_FALLBACK_UNTRUSTED. */

int cmd_fallback_perform(cmd_fallback_t *fallback, cmd_transfer_t *transfer);

void cmd_fallback_done(cmd_fallback_t *fallback);


#endif /* ATLS_CMD_FALLBACK_H_INCLUDED */
