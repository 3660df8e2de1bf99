
/*
 * The URI of a session, see location.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "location.h"


static int atls_location_resolve(CURLU *url, CURLU *base, const char *value);
static int atls_location_same(CURLU *url, CURLU *base, CURLUPart part);
static char *atls_location_id(CURLU *url);


void
atls_location_clear(atls_location_t *location)
{
    curl_url_cleanup(location->url);
    free(location->id);

    location->url = NULL;
    location->id = NULL;
}


atls_error_e
atls_location_follow(atls_location_t *location, CURLU *base, const char *value,
    atls_failure_t *failure)
{
    int     rc;
    char   *id;
    CURLU  *url;

    if (value == NULL) {
        return ATLS_OK;
    }

    url = curl_url_dup(base);
    if (url == NULL) {
        return atls_fail_memory(failure);
    }

    rc = atls_location_resolve(url, base, value);

    if (rc == -1) {
        curl_url_cleanup(url);

        return atls_fail(failure, ATLS_ERROR_REDIRECT,
                         "the endpoint returned 201 with Location %.512s, not "
                         "a path of the same server", value);
    }

    id = atls_location_id(url);
    if (id == NULL) {
        curl_url_cleanup(url);
        return atls_fail_memory(failure);
    }

    atls_location_clear(location);

    location->url = url;
    location->id = id;

    return ATLS_OK;
}


/*
 * Only the path and the query are used: the rest is the same, or, like
 * credentials, is not to be set by a response.
 */

static int
atls_location_resolve(CURLU *url, CURLU *base, const char *value)
{
    int     rc;
    char   *path, *query;
    CURLU  *target;

    path = NULL;
    query = NULL;
    target = curl_url_dup(base);

    rc = target && curl_url_set(target, CURLUPART_URL, value,
                                CURLU_NON_SUPPORT_SCHEME)
                   == CURLUE_OK
         && atls_location_same(target, base, CURLUPART_SCHEME)
         && atls_location_same(target, base, CURLUPART_HOST)
         && atls_location_same(target, base, CURLUPART_PORT)
         && curl_url_get(target, CURLUPART_PATH, &path, 0) == CURLUE_OK
         && curl_url_set(url, CURLUPART_PATH, path, 0) == CURLUE_OK
         ? 0 : -1;

    if (rc == 0) {
        (void) curl_url_get(target, CURLUPART_QUERY, &query, 0);

        rc = curl_url_set(url, CURLUPART_QUERY, query, 0) == CURLUE_OK ? 0 : -1;
    }

    curl_free(path);
    curl_free(query);
    curl_url_cleanup(target);

    return rc;
}


static int
atls_location_same(CURLU *url, CURLU *base, CURLUPart part)
{
    int        same;
    char      *one, *two;
    CURLUcode  rc;

    one = NULL;
    two = NULL;

    /* a scheme that libcurl does not know has no default port */

    rc = curl_url_get(url, part, &one, CURLU_DEFAULT_PORT);

    same = curl_url_get(base, part, &two, CURLU_DEFAULT_PORT) == rc
           && (rc == CURLUE_NO_PORT
               || (rc == CURLUE_OK && strcasecmp(one, two) == 0));

    curl_free(one);
    curl_free(two);

    return same;
}


static char *
atls_location_id(CURLU *url)
{
    char  *path, *id;

    path = NULL;
    id = NULL;

    if (curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK) {
        id = strdup(strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    }

    curl_free(path);

    return id;
}


int
atls_location_copy(atls_location_t *location, const atls_location_t *other)
{
    atls_location_clear(location);

    if (other->url == NULL) {
        return 0;
    }

    location->url = curl_url_dup(other->url);
    location->id = strdup(other->id);

    if (location->url && location->id) {
        return 0;
    }

    atls_location_clear(location);

    return -1;
}
