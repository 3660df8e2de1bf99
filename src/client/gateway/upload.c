
/*
 * Request bodies in blocks, see upload.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/util.h"
#include "upload.h"


#define GW_UPLOADS      4               /* of a source */


static gw_upload_t *gw_upload_find(const gw_uploads_t *uploads,
    const char *key);
static gw_upload_t *gw_upload_begin(gw_uploads_t *uploads, const char *key);
static void gw_upload_free(gw_uploads_t *uploads, gw_upload_t *upload);
static int gw_upload_again(const gw_upload_t *upload, size_t offset,
    const unsigned char *bytes, size_t n);


void
gw_uploads_init(gw_uploads_t *uploads, gw_share_t *share)
{
    TAILQ_INIT(&uploads->list);
    uploads->n = 0;
    uploads->share = share;
}


gw_upload_e
gw_upload_add(gw_uploads_t *uploads, const char *key, const cmd_block_t *block,
    const unsigned char *bytes, size_t n, int64_t now, unsigned char **body,
    size_t *size)
{
    size_t              offset;
    gw_upload_e         rc;
    gw_share_t         *share = uploads->share;
    gw_upload_t        *upload;
    const gw_limits_t  *limits = share->limits;

    if (block->szx > CMD_BLOCK_MAX_SZX || n > cmd_block_size(block->szx)
        || (block->more && n != cmd_block_size(block->szx)))
    {
        return GW_UPLOAD_INVALID;
    }

    upload = gw_upload_find(uploads, key);
    offset = cmd_block_offset(block);

    if (block->num == 0) {

        /* RFC 7959, section 2.5: the first block replaces an earlier body */

        if (upload) {
            gw_upload_free(uploads, upload);
        }

        upload = gw_upload_begin(uploads, key);
    }

    if (upload == NULL) {
        return GW_UPLOAD_GAP;
    }

    upload->used = now;

    if (block->more && gw_upload_again(upload, offset, bytes, n)) {
        return GW_UPLOAD_MORE;
    }

    if (offset != upload->n) {
        return GW_UPLOAD_GAP;
    }

    if (n > limits->max_body - upload->n) {
        gw_upload_free(uploads, upload);
        return GW_UPLOAD_LARGE;
    }

    if (!gw_share_has(share, n)) {
        rc = limits->memory + n > limits->max_memory ? GW_UPLOAD_FULL
                                                     : GW_UPLOAD_SHARED;
        gw_upload_free(uploads, upload);
        return rc;
    }

    upload->body = cmd_realloc(upload->body, upload->n + n + 1);

    if (n) {
        memcpy(upload->body + upload->n, bytes, n);
    }

    upload->n += n;
    upload->size += n;
    gw_share_add(share, n);

    if (block->more) {
        return GW_UPLOAD_MORE;
    }

    *body = upload->body;
    *size = upload->n;

    upload->body = NULL;
    gw_upload_free(uploads, upload);

    return GW_UPLOAD_COMPLETE;
}


static gw_upload_t *
gw_upload_find(const gw_uploads_t *uploads, const char *key)
{
    gw_upload_t  *upload;

    TAILQ_FOREACH(upload, &uploads->list, entry) {
        if (strcmp(upload->key, key) == 0) {
            return upload;
        }
    }

    return NULL;
}


static gw_upload_t *
gw_upload_begin(gw_uploads_t *uploads, const char *key)
{
    gw_upload_t  *upload;

    if (uploads->n == GW_UPLOADS) {
        gw_upload_free(uploads, TAILQ_LAST(&uploads->list, gw_upload_list_s));
    }

    upload = cmd_alloc(sizeof(gw_upload_t));
    upload->key = cmd_copy(key, strlen(key));
    upload->size = sizeof(gw_upload_t) + strlen(key);
    gw_share_add(uploads->share, upload->size);

    TAILQ_INSERT_HEAD(&uploads->list, upload, entry);
    uploads->n++;

    return upload;
}


static void
gw_upload_free(gw_uploads_t *uploads, gw_upload_t *upload)
{
    TAILQ_REMOVE(&uploads->list, upload, entry);
    uploads->n--;
    gw_share_sub(uploads->share, upload->size);

    free(upload->body);
    free(upload->key);
    free(upload);
}


/* A block that is received again is acknowledged again. */

static int
gw_upload_again(const gw_upload_t *upload, size_t offset,
    const unsigned char *bytes, size_t n)
{
    return offset + n <= upload->n
           && memcmp(upload->body + offset, bytes, n) == 0;
}


void
gw_uploads_expire(gw_uploads_t *uploads, int64_t now)
{
    gw_upload_t  *upload, *next;

    for (upload = TAILQ_FIRST(&uploads->list); upload; upload = next) {
        next = TAILQ_NEXT(upload, entry);

        if (now - upload->used >= GW_EXCHANGE_LIFETIME) {
            gw_upload_free(uploads, upload);
        }
    }
}
