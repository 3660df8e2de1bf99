
/*
 * Responses in blocks, see answer.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/util.h"
#include "answer.h"


#define GW_ANSWERS      4               /* of a source */
#define GW_ANSWER_READ  10000           /* milliseconds, if memory is short */


static gw_answer_t *gw_answer_find(const gw_answers_t *answers,
    const char *key);
static void gw_answer_free(gw_answers_t *answers, gw_answer_t *answer);
static int64_t gw_answer_lifetime(const gw_answers_t *answers,
    const gw_answer_t *answer);


void
gw_answers_init(gw_answers_t *answers, gw_share_t *share)
{
    TAILQ_INIT(&answers->list);
    answers->n = 0;
    answers->share = share;
}


void
gw_answer_put(gw_answers_t *answers, const char *key, gw_message_t *message,
    int64_t now)
{
    gw_answer_t  *answer;

    answer = gw_answer_find(answers, key);

    if (answer == NULL && answers->n == GW_ANSWERS) {
        answer = TAILQ_LAST(&answers->list, gw_answer_list_s);
    }

    if (answer) {
        gw_answer_free(answers, answer);
    }

    answer = cmd_alloc(sizeof(gw_answer_t));
    answer->key = cmd_copy(key, strlen(key));
    answer->used = now;
    answer->message = *message;
    answer->size = sizeof(gw_answer_t) + strlen(key) + message->noptions
                   + message->npayload;

    memset(message, 0, sizeof(gw_message_t));

    TAILQ_INSERT_HEAD(&answers->list, answer, entry);
    answers->n++;
    gw_share_add(answers->share, answer->size);
}


static gw_answer_t *
gw_answer_find(const gw_answers_t *answers, const char *key)
{
    gw_answer_t  *answer;

    TAILQ_FOREACH(answer, &answers->list, entry) {
        if (strcmp(answer->key, key) == 0) {
            return answer;
        }
    }

    return NULL;
}


static void
gw_answer_free(gw_answers_t *answers, gw_answer_t *answer)
{
    TAILQ_REMOVE(&answers->list, answer, entry);
    answers->n--;
    gw_share_sub(answers->share, answer->size);

    gw_message_free(&answer->message);
    free(answer->key);
    free(answer);
}


/* The wanted size may be larger than ours: the offset counts. */

int
gw_answer_block(gw_answers_t *answers, const char *key, cmd_block_t *block,
    gw_message_t *message, int64_t now)
{
    size_t        offset, n;
    gw_answer_t  *answer;

    answer = gw_answer_find(answers, key);
    offset = cmd_block_offset(block);

    if (answer == NULL || offset >= answer->message.npayload) {
        return -1;
    }

    n = answer->message.npayload - offset;
    block->more = n > cmd_block_size(block->szx);

    if (block->more) {
        n = cmd_block_size(block->szx);

    } else {
        answer->read = 1;
    }

    answer->used = now;

    message->code = answer->message.code;
    message->options = cmd_alloc(answer->message.noptions + 1);
    memcpy(message->options, answer->message.options, answer->message.noptions);
    message->noptions = answer->message.noptions;

    if (block->num) {
        gw_message_remove(message, COAP_OPTION_LOCATION_PATH);
    }

    gw_message_uint(message, COAP_OPTION_BLOCK2,
                    block->num << 4 | (unsigned) block->more << 3 | block->szx);
    gw_message_payload(message, answer->message.payload + offset, n);

    return 0;
}


int
gw_answers_unread(const gw_answers_t *answers)
{
    const gw_answer_t  *answer;

    TAILQ_FOREACH(answer, &answers->list, entry) {
        if (!answer->read) {
            return 1;
        }
    }

    return 0;
}


void
gw_answers_expire(gw_answers_t *answers, int64_t now)
{
    gw_answer_t  *answer, *next;

    for (answer = TAILQ_FIRST(&answers->list); answer; answer = next) {
        next = TAILQ_NEXT(answer, entry);

        if (now - answer->used >= gw_answer_lifetime(answers, answer)) {
            gw_answer_free(answers, answer);
        }
    }
}


/*
 * The last block is also in its exchange, if it is lost.  An address may have a
 * half of the memory: so it is short if a half of that is used.
 */

static int64_t
gw_answer_lifetime(const gw_answers_t *answers, const gw_answer_t *answer)
{
    const gw_limits_t  *limits = answers->share->limits;

    return answer->read && limits->memory > limits->max_memory / 4
           ? GW_ANSWER_READ : GW_EXCHANGE_LIFETIME;
}
