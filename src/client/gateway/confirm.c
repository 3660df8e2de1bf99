
/*
 * Confirmable responses that were sent separately, see confirm.h.
 */


#include <stdlib.h>

#include "../cmd/base/util.h"
#include "confirm.h"


#define GW_CONFIRM_OVERHEAD     512     /* bytes, of libcoap */
#define GW_TRANSMIT_WAIT        93000   /* milliseconds, RFC 7252, 4.8.2 */


void
gw_confirms_init(gw_confirms_t *confirms, gw_share_t *share)
{
    TAILQ_INIT(&confirms->list);
    confirms->n = 0;
    confirms->share = share;
}


int
gw_confirm_add(gw_confirms_t *confirms, size_t size, int64_t now)
{
    gw_confirm_t  *confirm;

    size += sizeof(gw_confirm_t) + GW_CONFIRM_OVERHEAD;

    if (confirms->n == GW_CONFIRMS || !gw_share_has(confirms->share, size)) {
        return -1;
    }

    confirm = cmd_alloc(sizeof(gw_confirm_t));
    confirm->sent = now;
    confirm->size = size;

    TAILQ_INSERT_TAIL(&confirms->list, confirm, entry);
    confirms->n++;
    gw_share_add(confirms->share, size);

    return 0;
}


void
gw_confirms_expire(gw_confirms_t *confirms, int64_t now)
{
    gw_confirm_t  *confirm;

    while ((confirm = TAILQ_FIRST(&confirms->list))
           && now - confirm->sent >= GW_TRANSMIT_WAIT)
    {
        TAILQ_REMOVE(&confirms->list, confirm, entry);
        confirms->n--;
        gw_share_sub(confirms->share, confirm->size);

        free(confirm);
    }
}
