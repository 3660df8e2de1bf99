
/* Problem documents in error responses, RFC 9457. */


#ifndef ATLS_CLIENT_PROBLEM_H_INCLUDED
#define ATLS_CLIENT_PROBLEM_H_INCLUDED


#include <stddef.h>


/*
 * Copies the "detail" member of a JSON object, or its "title" if there is no
 * detail, truncated to the size.  Returns 0, or -1 if there is neither, if the
 * text is not valid JSON, or if it has too many objects and arrays.
 */

int atls_problem_detail(const unsigned char *json, size_t n, char *detail,
    size_t size);

/*
 * Copies the name in the "type" member of a JSON object, if the type is one of
 * ATLS.  Returns 0, or -1 if it is another one or does not fit.
 */

int atls_problem_type(const unsigned char *json, size_t n, char *name,
    size_t size);


#endif /* ATLS_CLIENT_PROBLEM_H_INCLUDED */
