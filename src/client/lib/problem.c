
/*
 * Problem documents, see problem.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "problem.h"


#define ATLS_PROBLEM_NESTED     64          /* objects and arrays, in total */
#define ATLS_PROBLEM_TAG        "tag:atls,2026:"


static cJSON *atls_problem_parse(const unsigned char *json, size_t n);
static int atls_problem_is_simple(const unsigned char *json, size_t n);
static const char *atls_problem_member(const cJSON *problem, const char *name);


int
atls_problem_detail(const unsigned char *json, size_t n, char *detail,
    size_t size)
{
    char        *p;
    cJSON       *problem;
    const char  *text;

    problem = atls_problem_parse(json, n);
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


int
atls_problem_type(const unsigned char *json, size_t n, char *name, size_t size)
{
    int          rc;
    cJSON       *problem;
    size_t       tag;
    const char  *type;

    tag = sizeof(ATLS_PROBLEM_TAG) - 1;

    problem = atls_problem_parse(json, n);
    type = atls_problem_member(problem, "type");
    rc = -1;

    if (type && strncmp(type, ATLS_PROBLEM_TAG, tag) == 0
        && strlen(type + tag) < size)
    {
        strcpy(name, type + tag);
        rc = 0;
    }

    cJSON_Delete(problem);

    return rc;
}


static cJSON *
atls_problem_parse(const unsigned char *json, size_t n)
{
    char        *copy;
    cJSON       *problem;
    const char  *end;

    if (!atls_problem_is_simple(json, n)) {
        return NULL;
    }

    /* cJSON before 1.7.18 may read beyond text without a null character */

    copy = strndup((const char *) json, n);
    problem = copy ? cJSON_ParseWithOpts(copy, &end, 0) : NULL;
    free(copy);

    return problem;
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
