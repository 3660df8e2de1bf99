
/*
 * Problem documents, see problem.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "problem.h"


#define ATLS_PROBLEM_NESTED     64          /* objects and arrays, in total */


static int atls_problem_is_simple(const unsigned char *json, size_t n);
static const char *atls_problem_member(const cJSON *problem, const char *name);


int
atls_problem_detail(const unsigned char *json, size_t n, char *detail,
    size_t size)
{
    char        *copy, *p;
    cJSON       *problem;
    const char  *text, *end;

    if (!atls_problem_is_simple(json, n)) {
        return -1;
    }

    /* cJSON before 1.7.18 may read beyond text without a null character */

    copy = strndup((const char *) json, n);
    problem = copy ? cJSON_ParseWithOpts(copy, &end, 0) : NULL;
    free(copy);

    text = atls_problem_member(problem, "detail");

    if (text == NULL) {
        text = atls_problem_member(problem, "title");
    }

    if (text) {
        snprintf(detail, size, "%s", text);

        /* the text is a part of one line */

        for (p = detail; *p; p++) {
            if (*p >= '\b' && *p <= '\r') {
                *p = ' ';
            }
        }
    }

    cJSON_Delete(problem);

    return text ? 0 : -1;
}


/*
 * The parser is recursive, and threads of the application may have small
 * stacks.
 */

static int
atls_problem_is_simple(const unsigned char *json, size_t n)
{
    size_t    i;
    unsigned  nested;

    for (i = 0, nested = 0; i < n; i++) {
        nested += json[i] == '{' || json[i] == '[';
    }

    return nested <= ATLS_PROBLEM_NESTED;
}


static const char *
atls_problem_member(const cJSON *problem, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(problem,
                                                                 name));
}
