
/* Problem documents in error responses, RFC 9457. */


#ifndef ATLS_CLIENT_PROBLEM_H_INCLUDED
#define ATLS_CLIENT_PROBLEM_H_INCLUDED


#include <stddef.h>


/*
 * Copies the string member "detail" of the outermost object, cut to the size,
 * or its "title" if there is none.  Returns 0; -1 if there is neither, or the
 * text is no JSON, or has too many objects and arrays in it.
 */

int atls_problem_detail(const unsigned char *json, size_t n, char *detail,
    size_t size);


#endif /* ATLS_CLIENT_PROBLEM_H_INCLUDED */
