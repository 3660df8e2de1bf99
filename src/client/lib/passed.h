
/*
 * What was passed of the response to a POST: if the response is requested
 * again, these bytes are compared, and not passed a second time.
 *
 *     atls_passed_begin(&passed);
 *
 *     do {
 *         atls_passed_restart(&passed);
 *
 *         while (there are bytes of the response) {
 *             rc = atls_passed_add(&passed, &bytes, &n, &failure);
 *         }
 *
 *     } while (it is incomplete && atls_passed_comparable(&passed));
 */


#ifndef ATLS_CLIENT_PASSED_H_INCLUDED
#define ATLS_CLIENT_PASSED_H_INCLUDED


#include "buf.h"
#include "error.h"


typedef struct {
    atls_buf_t       bytes;                 /* that were passed */
    size_t           at;                    /* of the current response */
    unsigned         more:1;                /* there were more than are kept */
} atls_passed_t;


/* The structure must be zeroed. */

void atls_passed_free(atls_passed_t *passed);

/* Before the first response to a POST; before each response. */

void atls_passed_begin(atls_passed_t *passed);
void atls_passed_restart(atls_passed_t *passed);

/*
 * Skips what was passed before: afterwards, the n bytes are to be passed.
 * Returns ATLS_ERROR_NETWORK if the response is not the same.
 */

atls_error_e atls_passed_add(atls_passed_t *passed,
    const unsigned char **bytes, size_t *n, atls_failure_t *failure);

/* Whether anything was passed; whether a response could be compared with it. */

int atls_passed_any(const atls_passed_t *passed);
int atls_passed_comparable(const atls_passed_t *passed);


#endif /* ATLS_CLIENT_PASSED_H_INCLUDED */
