
/*
 * A pool of sessions, see pool.h.
 */


#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/client.h"
#include "../../lib/clock.h"
#include "../../lib/exported.h"
#include "../../lib/store.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../options/client.h"
#include "pool.h"
#include "thread.h"


#define CMD_POOL_CLOSE_TIME     5000    /* milliseconds, for all sessions */


typedef struct cmd_slot_s    cmd_slot_t;
typedef struct cmd_waiter_s  cmd_waiter_t;

struct cmd_slot_s {
    cmd_pooled_t          session;      /* must be the first member; the
                                           client is NULL if not created yet
                                           or freed */
    char                  tag[16];      /* prefix for -v */
    int64_t               since;        /* start of the idle time */
    cmd_slot_t           *next;
};


struct cmd_waiter_s {
    pthread_cond_t        cond;
    cmd_slot_t           *slot;         /* slot assigned to the waiter */
    cmd_waiter_t         *next;
};


struct cmd_pool_s {
    const char           *origin;
    const cmd_options_t  *options;
    atls_store_t         *store;

    atls_client_t        *lead;         /* with exported keys: its session is
                                           used by all slots */

    cmd_slot_t           *slots;

    pthread_mutex_t       lock;
    cmd_slot_t           *idle;         /* open sessions first, most recently
                                           used first */
    cmd_waiter_t         *waiters;      /* in the order of arrival */

    int64_t               lost;         /* sessions not seen since then are
                                           lost; 0: none are */
    int64_t               failed;       /* those not seen since then may be */

    pthread_t             reaper;
    pthread_cond_t        reap;
    int                   started;
    int                   sleeping;     /* the reaper waits without a timeout */
    int                   ending;
};


static void cmd_pool_slots(cmd_pool_t *pool);
static int cmd_pool_lead(cmd_pool_t *pool);
static int cmd_pool_try(cmd_pool_t *pool);
static int cmd_pool_client(cmd_pool_t *pool, cmd_slot_t *slot);
static cmd_slot_t *cmd_pool_queue(cmd_pool_t *pool, int64_t deadline);
static void cmd_pool_leave(cmd_pool_t *pool, cmd_waiter_t *waiter);
static void cmd_pool_learn(cmd_pool_t *pool, atls_client_t *client);
static void cmd_pool_put(cmd_pool_t *pool, cmd_slot_t *slot);
static void cmd_pool_drop(const cmd_pool_t *pool, atls_client_t *client);
static void *cmd_pool_reap(void *data);
static cmd_slot_t *cmd_pool_expired(cmd_pool_t *pool, int64_t *next);
static void cmd_pool_close(cmd_slot_t *slot, int notify);


int
cmd_pool_create(cmd_pool_t **result, const char *origin,
    const cmd_options_t *options)
{
    int          code;
    cmd_pool_t  *pool;

    pool = cmd_alloc(sizeof(cmd_pool_t));
    pool->origin = origin;
    pool->options = options;

    pthread_mutex_init(&pool->lock, NULL);
    atls_clock_cond(&pool->reap);
    cmd_pool_slots(pool);

    code = cmd_client_store(&pool->store, options->session_file);

    if (code == CMD_OK) {
        code = cmd_pool_lead(pool);
    }

    if (code == CMD_OK) {
        code = cmd_pool_try(pool);
    }

    if (code == CMD_OK) {
        pool->started = cmd_thread_start(&pool->reaper, cmd_pool_reap, pool)
                        == 0;
        code = pool->started ? CMD_OK
                             : cmd_fail(CMD_MEMORY, "cannot start a thread");
    }

    if (code != CMD_OK) {
        cmd_pool_free(pool);
        pool = NULL;
    }

    *result = pool;

    return code;
}


static void
cmd_pool_slots(cmd_pool_t *pool)
{
    unsigned     i;
    cmd_slot_t  *slot;

    pool->slots = cmd_alloc(pool->options->sessions * sizeof(cmd_slot_t));

    for (i = pool->options->sessions; i > 0; i--) {
        slot = &pool->slots[i - 1];

        slot->session.number = i;
        snprintf(slot->tag, sizeof(slot->tag), "[%u] ", i);

        slot->next = pool->idle;
        pool->idle = slot;
    }
}


static int
cmd_pool_lead(cmd_pool_t *pool)
{
    static char  tag[] = "[session] ";

    return pool->options->exported_keys
           ? cmd_client_create(&pool->lead, pool->origin, pool->options,
                               pool->store, tag)
           : CMD_OK;
}


/* Creates a client to detect invalid options before the first request. */

static int
cmd_pool_try(cmd_pool_t *pool)
{
    int          code;
    cmd_slot_t  *slot = pool->idle;

    slot->since = atls_clock();

    code = cmd_pool_client(pool, slot);

    return code != CMD_OK
           ? code : cmd_client_fail(slot->session.client,
                                    atls_client_prepare(slot->session.client),
                                    0);
}


static int
cmd_pool_client(cmd_pool_t *pool, cmd_slot_t *slot)
{
    int  code;

    code = cmd_client_create(&slot->session.client, pool->origin,
                             pool->options, pool->store, slot->tag);

    if (code == CMD_OK && pool->lead) {
        atls_exported_share(slot->session.client, pool->lead);
    }

    return code;
}


cmd_pooled_t *
cmd_pool_take(cmd_pool_t *pool, int64_t deadline)
{
    cmd_slot_t     *slot;
    atls_client_t  *client;

    pthread_mutex_lock(&pool->lock);

    slot = pool->idle;

    if (slot) {
        pool->idle = slot->next;

    } else {
        slot = cmd_pool_queue(pool, deadline);
    }

    client = slot ? slot->session.client : NULL;

    if (client && client->seen < pool->failed) {
        client->doubted = 1;
    }

    pthread_mutex_unlock(&pool->lock);

    if (slot == NULL) {
        return NULL;
    }

    if (slot->session.client == NULL && cmd_pool_client(pool, slot) != CMD_OK) {
        cmd_pool_give(pool, &slot->session);
        return NULL;
    }

    return &slot->session;
}


/* Waits in the queue for a slot. */

static cmd_slot_t *
cmd_pool_queue(cmd_pool_t *pool, int64_t deadline)
{
    cmd_waiter_t   waiter, **last;

    waiter.slot = NULL;
    waiter.next = NULL;
    atls_clock_cond(&waiter.cond);

    for (last = &pool->waiters; *last; last = &(*last)->next) { /* void */ }

    *last = &waiter;

    while (waiter.slot == NULL) {
        if (!atls_clock_wait(&waiter.cond, &pool->lock, deadline)
            && waiter.slot == NULL)
        {
            cmd_pool_leave(pool, &waiter);
            break;
        }
    }

    pthread_cond_destroy(&waiter.cond);

    return waiter.slot;
}


static void
cmd_pool_leave(cmd_pool_t *pool, cmd_waiter_t *waiter)
{
    cmd_waiter_t  **link;

    for (link = &pool->waiters; *link != waiter; link = &(*link)->next) {
        /* void */
    }

    *link = waiter->next;
}


void
cmd_pool_give(cmd_pool_t *pool, cmd_pooled_t *session)
{
    cmd_slot_t  *slot = (cmd_slot_t *) session;

    pthread_mutex_lock(&pool->lock);

    if (slot->session.client) {
        cmd_pool_learn(pool, slot->session.client);
    }

    cmd_pool_put(pool, slot);

    pthread_mutex_unlock(&pool->lock);
}


/*
 * If the server does not know a session any more, it does not know idle ones
 * either: it was restarted, or has evicted sessions, and those that were idle
 * for longer first.  Other errors may be caused by a restart.
 */

static void
cmd_pool_learn(cmd_pool_t *pool, atls_client_t *client)
{
    cmd_slot_t  *slot;

    if (client->failed) {
        pool->failed = atls_clock();
        client->failed = 0;
    }

    if (client->unknown <= pool->lost) {
        return;
    }

    pool->lost = client->unknown;

    for (slot = pool->idle; slot; slot = slot->next) {
        cmd_pool_drop(pool, slot->session.client);
    }
}


static void
cmd_pool_put(cmd_pool_t *pool, cmd_slot_t *slot)
{
    int              open;
    cmd_slot_t     **link;
    cmd_waiter_t    *waiter = pool->waiters;
    atls_client_t   *client = slot->session.client;

    cmd_pool_drop(pool, client);
    open = client && (client->open || pool->lead);

    if (waiter) {
        pool->waiters = waiter->next;
        waiter->slot = slot;
        pthread_cond_signal(&waiter->cond);
        return;
    }

    slot->since = atls_clock();
    link = &pool->idle;

    /* closed sessions are used only if there is no open one */

    while (!open && *link) {
        link = &(*link)->next;
    }

    slot->next = *link;
    *link = slot;

    if (pool->sleeping) {
        pthread_cond_signal(&pool->reap);
    }
}


/* Gives up the session if it is lost. */

static void
cmd_pool_drop(const cmd_pool_t *pool, atls_client_t *client)
{
    if (client && client->seen < pool->lost) {
        client->open = 0;
    }
}


/* The reaper thread: closes sessions that reached the idle timeout. */

static void *
cmd_pool_reap(void *data)
{
    cmd_pool_t  *pool = data;

    int64_t      next;
    cmd_slot_t  *slot;

    pthread_mutex_lock(&pool->lock);

    while (!pool->ending) {

        slot = cmd_pool_expired(pool, &next);

        if (slot) {
            pthread_mutex_unlock(&pool->lock);
            cmd_pool_close(slot, 1);
            pthread_mutex_lock(&pool->lock);

            cmd_pool_put(pool, slot);
            continue;
        }

        pool->sleeping = next == 0;
        atls_clock_wait(&pool->reap, &pool->lock, next);
        pool->sleeping = 0;
    }

    pthread_mutex_unlock(&pool->lock);

    return NULL;
}


/*
 * Removes a slot that reached the idle timeout from the list.  If there is
 * none, *next is the time when one may reach it; 0: never.
 */

static cmd_slot_t *
cmd_pool_expired(cmd_pool_t *pool, int64_t *next)
{
    int64_t       now, end;
    cmd_slot_t   *slot, **link;

    now = atls_clock();
    *next = 0;

    for (link = &pool->idle; *link; link = &(*link)->next) {

        slot = *link;

        if (slot->session.client == NULL) {
            continue;
        }

        end = slot->since + pool->options->idle;

        if (end <= now) {
            *link = slot->next;
            return slot;
        }

        if (*next == 0 || end < *next) {
            *next = end;
        }
    }

    return NULL;
}


static void
cmd_pool_close(cmd_slot_t *slot, int notify)
{
    if (notify) {
        atls_close(slot->session.client);
    }

    atls_client_free(slot->session.client);
    slot->session.client = NULL;
}


void
cmd_pool_free(cmd_pool_t *pool)
{
    int64_t   until;
    unsigned  i;

    if (pool->started) {
        pthread_mutex_lock(&pool->lock);
        pool->ending = 1;
        pthread_cond_signal(&pool->reap);
        pthread_mutex_unlock(&pool->lock);

        pthread_join(pool->reaper, NULL);
    }

    /* if the endpoint does not respond, do not wait for it for each session */

    until = atls_clock() + CMD_POOL_CLOSE_TIME;

    for (i = 0; i < pool->options->sessions; i++) {
        cmd_pool_close(&pool->slots[i], atls_clock() < until);
    }

    if (pool->lead && atls_clock() < until) {
        atls_close(pool->lead);
    }

    atls_client_free(pool->lead);
    atls_store_close(pool->store);
    pthread_cond_destroy(&pool->reap);
    pthread_mutex_destroy(&pool->lock);
    free(pool->slots);
    free(pool);
}
