
/*
 * --fallback: plain HTTPS with libcurl if the service's certificate is trusted.
 * --direct: HTTPS with an association instead, without certificates.
 */


#ifndef ATLS_CMD_FALLBACK_H_INCLUDED
#define ATLS_CMD_FALLBACK_H_INCLUDED


#include <curl/curl.h>

#include "association.h"
#include "transfer.h"


#define CMD_FALLBACK_UNTRUSTED  (-1)    /* and nothing was sent */


typedef struct {
    CURL                *curl;          /* created on first use */
    atls_store_t        *store;         /* of associations; NULL: --fallback */
    cmd_association_t    association;   /* of the last connection */
} cmd_fallback_t;


/* Returns an exit code.  The structure must be zeroed. */

int cmd_fallback_init(cmd_fallback_t *fallback, const cmd_options_t *options);


/* Returns an exit code, or CMD_FALLBACK_UNTRUSTED. */

int cmd_fallback_perform(cmd_fallback_t *fallback, cmd_transfer_t *transfer);

void cmd_fallback_done(cmd_fallback_t *fallback);


#endif /* ATLS_CMD_FALLBACK_H_INCLUDED */
