
/*
 * Requests by message ID, see exchange.h.
 */


#include <stdlib.h>

#include "../cmd/base/util.h"
#include "exchange.h"


#define GW_EXCHANGES    256             /* of a source */


static void gw_exchange_forget(gw_exchange_t *exchange);
static size_t gw_exchange_size(const gw_exchange_t *exchange);


void
gw_history_init(gw_history_t *history, size_t max_memory)
{
    TAILQ_INIT(&history->list);
    history->memory = 0;
    history->max_memory = max_memory;
}


void
gw_exchanges_init(gw_exchanges_t *exchanges, gw_history_t *history)
{
    TAILQ_INIT(&exchanges->list);
    exchanges->n = 0;
    exchanges->history = history;
}


gw_exchange_t *
gw_exchange_find(const gw_exchanges_t *exchanges, int mid)
{
    gw_exchange_t  *exchange;

    TAILQ_FOREACH(exchange, &exchanges->list, entry) {
        if (exchange->mid == mid) {
            return exchange;
        }
    }

    return NULL;
}


void
gw_exchange_add(gw_exchanges_t *exchanges, int mid, int64_t now)
{
    gw_history_t   *history = exchanges->history;
    gw_exchange_t  *exchange;

    if (exchanges->n == GW_EXCHANGES) {
        gw_exchange_forget(TAILQ_FIRST(&exchanges->list));
    }

    while (history->memory > history->max_memory) {
        gw_exchange_forget(TAILQ_FIRST(&history->list));
    }

    exchange = cmd_alloc(sizeof(gw_exchange_t));
    exchange->exchanges = exchanges;
    exchange->mid = mid;
    exchange->began = now;

    TAILQ_INSERT_TAIL(&exchanges->list, exchange, entry);
    exchanges->n++;

    TAILQ_INSERT_TAIL(&history->list, exchange, global);
    history->memory += gw_exchange_size(exchange);
}


static void
gw_exchange_forget(gw_exchange_t *exchange)
{
    gw_exchanges_t  *exchanges = exchange->exchanges;

    TAILQ_REMOVE(&exchanges->list, exchange, entry);
    exchanges->n--;

    TAILQ_REMOVE(&exchanges->history->list, exchange, global);
    exchanges->history->memory -= gw_exchange_size(exchange);

    gw_message_free(&exchange->message);
    free(exchange);
}


static size_t
gw_exchange_size(const gw_exchange_t *exchange)
{
    return sizeof(gw_exchange_t) + exchange->message.noptions
           + exchange->message.npayload;
}


void
gw_exchange_answer(gw_exchanges_t *exchanges, int mid, int64_t began,
    const gw_message_t *message)
{
    gw_exchange_t  *exchange;

    exchange = gw_exchange_find(exchanges, mid);

    /* it may have been forgotten, and another one may have the same ID */

    if (exchange == NULL || exchange->began != began || exchange->answered) {
        return;
    }

    exchange->answered = 1;

    if (message == NULL) {
        exchange->separate = 1;
        return;
    }

    exchanges->history->memory -= gw_exchange_size(exchange);
    gw_message_copy(&exchange->message, message);
    exchanges->history->memory += gw_exchange_size(exchange);
}


void
gw_exchanges_expire(gw_exchanges_t *exchanges, int64_t now)
{
    gw_exchange_t  *exchange;

    for ( ;; ) {
        exchange = TAILQ_FIRST(&exchanges->list);

        if (exchange == NULL || now - exchange->began < GW_EXCHANGE_LIFETIME) {
            return;
        }

        gw_exchange_forget(exchange);
    }
}
