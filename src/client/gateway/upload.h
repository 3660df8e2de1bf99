
/*
 * Request bodies in blocks (RFC 7959, Block1).
 *
 * libcoap could put them together (COAP_BLOCK_SINGLE_BODY), but 4.3.1 allocates
 * what Size1 says, keeps the blocks of an abandoned body in the next one, and
 * mixes bodies for several URIs of a resource.
 */


#ifndef ATLS_GATEWAY_UPLOAD_H_INCLUDED
#define ATLS_GATEWAY_UPLOAD_H_INCLUDED


#include <sys/queue.h>

#include "../cmd/coap/block.h"
#include "share.h"


typedef struct gw_upload_s  gw_upload_t;

struct gw_upload_s {
    TAILQ_ENTRY(gw_upload_s)     entry;
    char                        *key;
    int64_t                      used;
    size_t                       size;      /* counted in the limits */
    unsigned char               *body;
    size_t                       n;
};

/* Of a source. */

typedef struct {
    TAILQ_HEAD(gw_upload_list_s, gw_upload_s)  list;    /* newest first */
    unsigned         n;
    gw_share_t      *share;
} gw_uploads_t;


typedef enum {
    GW_UPLOAD_MORE = 0,
    GW_UPLOAD_COMPLETE,
    GW_UPLOAD_GAP,                      /* a block is missing */
    GW_UPLOAD_INVALID,
    GW_UPLOAD_LARGE,
    GW_UPLOAD_FULL,                     /* no memory for it */
    GW_UPLOAD_SHARED                    /* others leave less for it */
} gw_upload_e;


void gw_uploads_init(gw_uploads_t *uploads, gw_share_t *share);

/*
 * Adds a block to the body with the key.  If the body is complete, it must be
 * freed by the caller, and is not counted in the limits any more.
 */

gw_upload_e gw_upload_add(gw_uploads_t *uploads, const char *key,
    const cmd_block_t *block, const unsigned char *bytes, size_t n, int64_t now,
    unsigned char **body, size_t *size);

/* Frees those that were not used for a while; now is INT64_MAX: all. */

void gw_uploads_expire(gw_uploads_t *uploads, int64_t now);


#endif /* ATLS_GATEWAY_UPLOAD_H_INCLUDED */
