
/*
 * Threads that block signals: the main thread handles these.
 */


#ifndef ATLS_CMD_THREAD_H_INCLUDED
#define ATLS_CMD_THREAD_H_INCLUDED


#include <pthread.h>


/* Returns 0 or an errno value; the thread must be joined. */

int cmd_thread_start(pthread_t *thread, void *(*run)(void *data), void *data);


#endif /* ATLS_CMD_THREAD_H_INCLUDED */
