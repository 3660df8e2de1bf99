
/*
 * The cookies of a session, see cookies.h.  libcurl stores only cookies that it
 * accepts for the host, but with any path.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "cookies.h"


/* Fields of a line in Netscape's format, separated by tabs */

#define ATLS_COOKIES_TAIL   1               /* TRUE: other hosts, too */
#define ATLS_COOKIES_PATH   2
#define ATLS_COOKIES_NAME   5
#define ATLS_COOKIES_VALUE  6

/* Identifiers of sessions: base64url */

#define ATLS_COOKIES_ID     24

/* Stands for the host of a cookie without a domain, which is no suffix */

#define ATLS_COOKIES_HOST   "192.0.2.1"


static int atls_cookies_match(const char *line, const char *path);
static const char *atls_cookies_field(const char *line, int i);
static int atls_cookies_is_id(const char *value);
static struct curl_slist *atls_cookies_parse(const CURLU *url,
    const char *value);
static char *atls_cookies_host(CURL *curl, const CURLU *url);
static const char *atls_cookies_domain(const char *line);
static int atls_cookies_line(atls_buf_t *text, const char *line,
    const char *host);


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


char *
atls_cookies_session(CURL *curl)
{
    int                 found;
    char               *id;
    const char         *value, *chosen;
    struct curl_slist  *list, *line;

    list = NULL;
    chosen = NULL;
    found = 0;

    if (curl_easy_getinfo(curl, CURLINFO_COOKIELIST, &list) != CURLE_OK) {
        return NULL;
    }

    for (line = list; line; line = line->next) {
        value = atls_cookies_field(line->data, ATLS_COOKIES_VALUE);

        if (!atls_cookies_is_id(value)) {
            continue;
        }

        found++;
        chosen = value;

        if (strncmp(atls_cookies_field(line->data, ATLS_COOKIES_NAME), "atls\t",
                    5)
            == 0)
        {
            found = 1;
            break;
        }
    }

    id = found == 1 ? strdup(chosen) : NULL;

    curl_slist_free_all(list);

    return id;
}


static int
atls_cookies_is_id(const char *value)
{
    static const char  alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    return strlen(value) == ATLS_COOKIES_ID
           && strspn(value, alphabet) == ATLS_COOKIES_ID;
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
atls_cookies_set(CURL *curl, const CURLU *url, const char *value)
{
    int                 rc;
    char               *host;
    atls_buf_t          text;
    struct curl_slist  *list;

    memset(&text, 0, sizeof(atls_buf_t));
    rc = -1;

    list = atls_cookies_parse(url, value);
    host = atls_cookies_host(curl, url);

    if (list && host) {
        rc = atls_cookies_line(&text, list->data, host);
    }

    if (rc == 0 && text.len
        && curl_easy_setopt(curl, CURLOPT_COOKIELIST, text.data) != CURLE_OK)
    {
        rc = -1;
    }

    /* libcurl ignores an invalid cookie */

    rc = list ? rc : 0;

    curl_slist_free_all(list);
    free(host);
    atls_buf_free(&text);

    return rc;
}


/*
 * A handle without a host parses the cookie.  Of attributes with the same name,
 * the last one is used, so those before all others are defaults.
 */

static struct curl_slist *
atls_cookies_parse(const CURLU *url, const char *value)
{
    int                 n;
    char               *path;
    CURL               *parser;
    atls_buf_t          header;
    struct curl_slist  *list;

    memset(&header, 0, sizeof(atls_buf_t));
    path = NULL;
    list = NULL;

    value += strspn(value, " \t");
    n = (int) strcspn(value, ";");

    if (*value == '=' || n == 0) {
        return NULL;                            /* no name */
    }

    parser = curl_easy_init();

    if (parser
        && curl_url_get((CURLU *) url, CURLUPART_PATH, &path, 0) == CURLUE_OK
        && atls_buf_print(&header, "Set-Cookie: %.*s; Path=%.*s; Domain="
                          ATLS_COOKIES_HOST "%s", n, value,
                          (int) (strrchr(path, '/') - path + 1), path,
                          value + n)
           == 0
        && curl_easy_setopt(parser, CURLOPT_COOKIELIST, header.data)
           == CURLE_OK)
    {
        curl_easy_getinfo(parser, CURLINFO_COOKIELIST, &list);
    }

    curl_free(path);
    curl_easy_cleanup(parser);
    atls_buf_free(&header);

    return list;
}


/*
 * The host of cookies without a domain: a header may have another one than the
 * URL.
 */

static char *
atls_cookies_host(CURL *curl, const CURLU *url)
{
    char               *host, *name;
    struct curl_slist  *list, *line;

    list = NULL;
    host = NULL;
    name = NULL;

    curl_easy_getinfo(curl, CURLINFO_COOKIELIST, &list);

    for (line = list; line && host == NULL; line = line->next) {
        if (strncmp(atls_cookies_field(line->data, ATLS_COOKIES_TAIL), "FALSE",
                    5)
            == 0)
        {
            host = strdup(atls_cookies_domain(line->data));
        }
    }

    curl_slist_free_all(list);

    if (host == NULL
        && curl_url_get((CURLU *) url, CURLUPART_HOST, &name, 0) == CURLUE_OK)
    {
        host = strdup(*name == '[' ? name + 1 : name);
        curl_free(name);
    }

    if (host) {
        host[strcspn(host, "\t]")] = '\0';
    }

    return host;
}


static const char *
atls_cookies_domain(const char *line)
{
    static const char  only[] = "#HttpOnly_";

    return strncmp(line, only, sizeof(only) - 1) == 0
           ? line + sizeof(only) - 1 : line;
}


/* Returns 0 or -1.  The text is empty if the cookie is for another host. */

static int
atls_cookies_line(atls_buf_t *text, const char *line, const char *host)
{
    int          prefix;
    size_t       n, nhost;
    const char  *domain;

    domain = atls_cookies_domain(line);
    prefix = (int) (domain - line);

    domain += (*domain == '.');
    n = strcspn(domain, "\t");

    /* newer versions of libcurl: ".192.0.2.1", and other hosts, too */

    if (n == sizeof(ATLS_COOKIES_HOST) - 1
        && strncmp(domain, ATLS_COOKIES_HOST, n) == 0)
    {
        return atls_buf_print(text, "%.*s%s\tFALSE\t%s", prefix, line, host,
                              atls_cookies_field(line, ATLS_COOKIES_PATH));
    }

    nhost = strlen(host);

    if (nhost < n || strncasecmp(host + nhost - n, domain, n) != 0
        || (nhost > n && host[nhost - n - 1] != '.'))
    {
        return 0;
    }

    return atls_buf_print(text, "%s", line);
}
