
/*
 * Sessions for several threads, see shared.h.
 */


#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "shared.h"
#include "util.h"


#define CMD_SHARED_MAX      64


typedef struct {
    char             *key;
    void             *bytes;
    size_t            size;
} cmd_saved_t;


struct cmd_shared_s {
    atls_store_t      store;
    atls_store_t      next;             /* put: NULL, then it is in memory */
    pthread_mutex_t   lock;
    cmd_saved_t       saved[CMD_SHARED_MAX];    /* the newest is the last */
    size_t            n;
};


static void cmd_shared_put(void *data, const char *key, const void *session,
    size_t size);
static size_t cmd_shared_take(void *data, const char *key, void *buf,
    size_t size);
static void cmd_shared_add(cmd_shared_t *shared, const char *key,
    const void *session, size_t size);
static size_t cmd_shared_get(cmd_shared_t *shared, const char *key, void *buf,
    size_t size);
static void cmd_shared_drop(cmd_shared_t *shared, size_t i);


cmd_shared_t *
cmd_shared_create(const atls_store_t *store)
{
    cmd_shared_t  *shared;

    shared = cmd_alloc(sizeof(cmd_shared_t));

    shared->store.put = cmd_shared_put;
    shared->store.take = cmd_shared_take;
    shared->store.data = shared;

    if (store) {
        shared->next = *store;
    }

    pthread_mutex_init(&shared->lock, NULL);

    return shared;
}


void
cmd_shared_free(cmd_shared_t *shared)
{
    if (shared) {
        while (shared->n) {
            cmd_shared_drop(shared, shared->n - 1);
        }

        pthread_mutex_destroy(&shared->lock);
        free(shared);
    }
}


const atls_store_t *
cmd_shared_store(const cmd_shared_t *shared)
{
    return &shared->store;
}


static void
cmd_shared_put(void *data, const char *key, const void *session, size_t size)
{
    cmd_shared_t  *shared = data;

    pthread_mutex_lock(&shared->lock);

    if (shared->next.put) {
        shared->next.put(shared->next.data, key, session, size);

    } else {
        cmd_shared_add(shared, key, session, size);
    }

    pthread_mutex_unlock(&shared->lock);
}


static size_t
cmd_shared_take(void *data, const char *key, void *buf, size_t size)
{
    cmd_shared_t  *shared = data;

    size_t  n;

    pthread_mutex_lock(&shared->lock);

    n = shared->next.take
        ? shared->next.take(shared->next.data, key, buf, size)
        : cmd_shared_get(shared, key, buf, size);

    pthread_mutex_unlock(&shared->lock);

    return n;
}


static void
cmd_shared_add(cmd_shared_t *shared, const char *key, const void *session,
    size_t size)
{
    cmd_saved_t  *saved;

    if (shared->n == CMD_SHARED_MAX) {
        cmd_shared_drop(shared, 0);
    }

    saved = &shared->saved[shared->n++];

    saved->key = cmd_copy(key, strlen(key));
    saved->bytes = cmd_realloc(NULL, size);
    saved->size = size;
    memcpy(saved->bytes, session, size);
}


static size_t
cmd_shared_get(cmd_shared_t *shared, const char *key, void *buf, size_t size)
{
    size_t  i, n;

    for (i = shared->n; i > 0; i--) {

        if (strcmp(shared->saved[i - 1].key, key) != 0) {
            continue;
        }

        n = shared->saved[i - 1].size;

        if (n <= size) {
            memcpy(buf, shared->saved[i - 1].bytes, n);
        }

        cmd_shared_drop(shared, i - 1);

        return n <= size ? n : 0;
    }

    return 0;
}


static void
cmd_shared_drop(cmd_shared_t *shared, size_t i)
{
    cmd_saved_t  *saved = &shared->saved[i];

    OPENSSL_cleanse(saved->bytes, saved->size);
    free(saved->bytes);
    free(saved->key);

    shared->n--;
    memmove(saved, saved + 1, (shared->n - i) * sizeof(cmd_saved_t));
}
