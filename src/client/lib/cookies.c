
/*
 * The cookies of a session, see cookies.h.  libcurl stores only cookies that it
 * accepts for the host, but with any path.
 */


#include <string.h>

#include "buf.h"
#include "cookies.h"


/* Fields of a line in Netscape's format, separated by tabs */

#define ATLS_COOKIES_PATH   2
#define ATLS_COOKIES_DATE   4
#define ATLS_COOKIES_NAME   5

#define ATLS_COOKIES_DOMAIN "; Domain=atls.invalid"


static int atls_cookies_match(const char *line, const char *path);
static const char *atls_cookies_field(const char *line, int i);
static int atls_cookies_replace(CURL *curl, const char *line);
static int atls_cookies_is_same(const char *line, const char *other);


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


/* RFC 6265, section 5.1.4 */

static int
atls_cookies_match(const char *line, const char *path)
{
    size_t  n;

    line = atls_cookies_field(line, ATLS_COOKIES_PATH);
    n = strcspn(line, "\t");

    return n && strncmp(line, path, n) == 0
           && (path[n] == '\0' || path[n] == '/' || line[n - 1] == '/');
}


/* Returns the rest of the line, beginning with a field; "" if there is none. */

static const char *
atls_cookies_field(const char *line, int i)
{
    for ( /* void */ ; i; i--) {
        line += strcspn(line, "\t");
        line += *line == '\t';
    }

    return line;
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


int
atls_cookies_set(CURL *curl, const char *value)
{
    int                 rc;
    CURL               *parser;
    atls_buf_t          header;
    struct curl_slist  *list;

    memset(&header, 0, sizeof(atls_buf_t));
    list = NULL;
    rc = -1;

    parser = curl_easy_init();

    /* the last domain is used; cookies without one are not in libcurl's list */

    if (parser
        && atls_buf_print(&header, "Set-Cookie: %s%s", value,
                          ATLS_COOKIES_DOMAIN)
           == 0
        && curl_easy_setopt(parser, CURLOPT_COOKIELIST, header.data)
           == CURLE_OK
        && curl_easy_getinfo(parser, CURLINFO_COOKIELIST, &list) == CURLE_OK)
    {
        rc = list ? atls_cookies_replace(curl, list->data) : 0;
    }

    if (rc == 1) {
        header.data[header.len - (sizeof(ATLS_COOKIES_DOMAIN) - 1)] = '\0';

        rc = curl_easy_setopt(curl, CURLOPT_COOKIELIST, header.data)
             == CURLE_OK ? 0 : -1;
    }

    curl_slist_free_all(list);
    curl_easy_cleanup(parser);
    atls_buf_free(&header);

    return rc;
}


/* Returns 0, -1 on error, or 1 if there is no cookie with this name. */

static int
atls_cookies_replace(CURL *curl, const char *line)
{
    int                 rc;
    atls_buf_t          text;
    struct curl_slist  *list, *old;

    memset(&text, 0, sizeof(atls_buf_t));
    list = NULL;
    rc = 1;

    curl_easy_getinfo(curl, CURLINFO_COOKIELIST, &list);

    for (old = list; old && rc != -1; old = old->next) {

        if (!atls_cookies_is_same(old->data, line)) {
            continue;
        }

        text.len = 0;
        rc = atls_buf_print(&text, "%.*s%s",
                            (int) (atls_cookies_field(old->data,
                                                      ATLS_COOKIES_DATE)
                                   - old->data), old->data,
                            atls_cookies_field(line, ATLS_COOKIES_DATE));

        if (rc == 0
            && curl_easy_setopt(curl, CURLOPT_COOKIELIST, text.data)
               != CURLE_OK)
        {
            rc = -1;
        }
    }

    curl_slist_free_all(list);
    atls_buf_free(&text);

    return rc;
}


static int
atls_cookies_is_same(const char *line, const char *other)
{
    size_t  n;

    line = atls_cookies_field(line, ATLS_COOKIES_NAME);
    other = atls_cookies_field(other, ATLS_COOKIES_NAME);

    n = strcspn(line, "\t");

    return n && n == strcspn(other, "\t") && strncmp(line, other, n) == 0;
}
