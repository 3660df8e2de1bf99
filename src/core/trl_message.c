
/*
 * Requests with exported keys, see trl_message.h.
 */


#include "trl_export.h"
#include "trl_message.h"


/* kind, number */

#define TRL_MESSAGE_CONTEXT         (1 + 8)


static const char  trl_message_label[] = "application-layer-tls";


const char *
trl_message_refused(const trl_state_t *state)
{
    if (trl_aead_tag_size(state->aead) < trl_aead_tag_size(TRL_AES_128_GCM)) {
        return "its cipher suite has short tags";
    }

    if (!state->extended_master) {
        return "it has no extended master secret";
    }

    return NULL;
}


int
trl_message_key(const trl_state_t *state, trl_message_e kind, uint64_t number,
    uint8_t *key)
{
    int      i;
    uint8_t  context[TRL_MESSAGE_CONTEXT];

    context[0] = (uint8_t) kind;

    for (i = 8; i > 0; i--) {
        context[i] = (uint8_t) number;
        number >>= 8;
    }

    return trl_export(state, trl_message_label, sizeof(trl_message_label) - 1,
                      context, TRL_MESSAGE_CONTEXT, key, TRL_MESSAGE_KEY);
}


int
trl_message_number(const uint8_t *text, size_t len, uint64_t *number)
{
    size_t    i;
    uint64_t  n, digit;

    if (len == 0 || len > TRL_MESSAGE_NUMBER || (text[0] == '0' && len > 1)) {
        return -1;
    }

    n = 0;

    for (i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }

        digit = (uint64_t) (text[i] - '0');

        if (n > (UINT64_MAX - digit) / 10) {
            return -1;
        }

        n = n * 10 + digit;
    }

    *number = n;

    return 0;
}
