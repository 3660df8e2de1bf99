
/* Lines for the debug callback. */


#ifndef ATLS_CLIENT_DEBUG_H_INCLUDED
#define ATLS_CLIENT_DEBUG_H_INCLUDED


#include <stddef.h>

#include "atls.h"


typedef struct {
    atls_debug_pt    handler;               /* NULL: disabled */
    void            *data;
    const char      *hidden;                /* replaced by asterisks; NULL */
} atls_debug_t;


void atls_debug(const atls_debug_t *debug, atls_debug_e what,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * Logs any number of lines of a header or of libcurl's messages.  Values of
 * headers with credentials or cookies are omitted.
 */

void atls_debug_lines(const atls_debug_t *debug, atls_debug_e what,
    const void *text, size_t n);


#endif /* ATLS_CLIENT_DEBUG_H_INCLUDED */
