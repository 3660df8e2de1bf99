
/*
 * The cookies of a session, see cookies.h.  libcurl stores only cookies that it
 * accepts for the host, but with any path.
 */


#include <string.h>

#include "cookies.h"


#define ATLS_COOKIES_PATH   2               /* fields before it in a line */


static int atls_cookies_match(const char *line, const char *path);


atls_cookies_e
atls_cookies_look(CURL *curl, const CURLU *url)
{
    char                *path;
    atls_cookies_e       cookies;
    struct curl_slist   *list, *line;
    struct curl_header  *header;

    list = NULL;
    path = NULL;
    cookies = ATLS_COOKIES_NONE;

    if (curl_easy_header(curl, "Set-Cookie", 0, CURLH_HEADER, -1, &header)
        == CURLHE_OK)
    {
        cookies = ATLS_COOKIES_ELSEWHERE;
    }

    if (curl_url_get((CURLU *) url, CURLUPART_PATH, &path, 0) == CURLUE_OK
        && curl_easy_getinfo(curl, CURLINFO_COOKIELIST, &list) == CURLE_OK)
    {
        for (line = list; line; line = line->next) {
            if (atls_cookies_match(line->data, path)) {
                cookies = ATLS_COOKIES_SENT;
            }
        }
    }

    curl_slist_free_all(list);
    curl_free(path);

    return cookies;
}


/* RFC 6265, section 5.1.4; fields of a line are separated by tabs. */

static int
atls_cookies_match(const char *line, const char *path)
{
    int     i;
    size_t  n;

    for (i = 0; i < ATLS_COOKIES_PATH; i++) {
        line = strchr(line, '\t');

        if (line == NULL) {
            return 0;
        }

        line++;
    }

    n = strcspn(line, "\t");

    return n && strncmp(line, path, n) == 0
           && (path[n] == '\0' || path[n] == '/' || line[n - 1] == '/');
}


int
atls_cookies_copy(CURL *curl, CURL *other)
{
    int                 rc;
    struct curl_slist  *list, *line;

    list = NULL;

    rc = curl_easy_setopt(curl, CURLOPT_COOKIELIST, "ALL") == CURLE_OK
         && curl_easy_getinfo(other, CURLINFO_COOKIELIST, &list) == CURLE_OK
         ? 0 : -1;

    for (line = list; line && rc == 0; line = line->next) {
        if (curl_easy_setopt(curl, CURLOPT_COOKIELIST, line->data)
            != CURLE_OK)
        {
            rc = -1;
        }
    }

    curl_slist_free_all(list);

    return rc;
}
