
/*
 * Threads, see thread.h.
 */


#include <signal.h>

#include "thread.h"


#define CMD_THREAD_STACK    (512 * 1024)    /* for many threads */


int
cmd_thread_start(pthread_t *thread, void *(*run)(void *data), void *data)
{
    int             error;
    sigset_t        all, old;
    pthread_attr_t  attr;

    error = pthread_attr_init(&attr);
    if (error) {
        return error;
    }

    pthread_attr_setstacksize(&attr, CMD_THREAD_STACK);

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);

    error = pthread_create(thread, &attr, run, data);

    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);

    return error;
}
