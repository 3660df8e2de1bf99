
/*
 * Responses of which a source gets one block at a time (RFC 7959, Block2).
 */


#ifndef ATLS_GATEWAY_ANSWER_H_INCLUDED
#define ATLS_GATEWAY_ANSWER_H_INCLUDED


#include <sys/queue.h>

#include "message.h"
#include "share.h"
#include "upload.h"


typedef struct gw_answer_s  gw_answer_t;

struct gw_answer_s {
    TAILQ_ENTRY(gw_answer_s)     entry;
    char                        *key;
    int64_t                      used;
    size_t                       size;      /* counted in the limits */
    int                          read;      /* to its end */
    gw_message_t                 message;   /* the whole payload */
};

/* Of a source. */

typedef struct {
    TAILQ_HEAD(gw_answer_list_s, gw_answer_s)  list;    /* newest first */
    unsigned         n;
    gw_share_t      *share;
} gw_answers_t;


void gw_answers_init(gw_answers_t *answers, gw_share_t *share);

/*
 * Takes over the contents of the message.  It replaces one with the same key.
 */

void gw_answer_put(gw_answers_t *answers, const char *key,
    gw_message_t *message, int64_t now);

/*
 * Makes a message with a block, of the wanted size at most; *block is changed
 * to what it has.  The message must be zeroed.  Returns -1 if there is no such
 * block.
 */

int gw_answer_block(gw_answers_t *answers, const char *key, cmd_block_t *block,
    gw_message_t *message, int64_t now);

/* Whether some have not been read to their ends. */

int gw_answers_unread(const gw_answers_t *answers);

/* Frees those that were not used for a while; now is INT64_MAX: all. */

void gw_answers_expire(gw_answers_t *answers, int64_t now);


#endif /* ATLS_GATEWAY_ANSWER_H_INCLUDED */
