
/* Error codes and texts. */


#ifndef ATLS_CLIENT_ERROR_H_INCLUDED
#define ATLS_CLIENT_ERROR_H_INCLUDED


#include "atls.h"


#define ATLS_FAILURE_TEXT   1024


typedef struct {
    atls_error_e    error;
    atls_fault_e    fault;
    char            text[ATLS_FAILURE_TEXT];
} atls_failure_t;


/*
 * Sets the error and its text, but not the fault; returns the error.  Arguments
 * may point to the previous text.  They may contain data from the network, and
 * URLs with passwords: the text is made printable, and passwords are hidden.
 */

atls_error_e atls_fail(atls_failure_t *failure, atls_error_e error,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

atls_error_e atls_fail_memory(atls_failure_t *failure);

/* Appends OpenSSL's reason, if any, to the text; clears its error queue. */

atls_error_e atls_fail_openssl(atls_failure_t *failure, atls_error_e error,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

void atls_failure_clear(atls_failure_t *failure);

/*
 * Makes a text safe for a terminal: replaces control characters, line and
 * paragraph separators, characters that change the text direction, and invalid
 * UTF-8 by "?".
 */

void atls_printable(char *text);

/* Replaces names and passwords in URLs by asterisks. */

void atls_hide_users(char *text);


#endif /* ATLS_CLIENT_ERROR_H_INCLUDED */
