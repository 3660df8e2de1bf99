
/*
 * Cookies of inner responses, see jar.h.
 *
 * Handles of libcurl are used without a request.  Set-Cookie is parsed by one
 * that knows no host.  The result is a line of text, in which missing values
 * are replaced, and which can express a domain without subdomains.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/cookies.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "cookie.h"
#include "jar.h"


#define CMD_JAR_MAX         150         /* cookies of a request, and bytes of */
#define CMD_JAR_SIZE        8190        /* its header, as in libcurl */

/* Values of attributes that are not set. */

#define CMD_JAR_NO_DOMAIN   "0.0.0.0"
#define CMD_JAR_NO_PATH     "/?none"

#define CMD_JAR_HOST        "__Host-"


static CURL *cmd_jar_handle(void);
static void cmd_jar_peer(const cmd_jar_t *jar, const cmd_url_t *url,
    atls_peer_t *peer);
static const char *cmd_jar_header(const cmd_jar_t *jar, const char *name);
static char *cmd_jar_select(const cmd_jar_t *jar, const cmd_url_t *url);
static char *cmd_jar_join(cmd_cookie_t *cookies, size_t n);
static char *cmd_jar_directory(const cmd_url_t *url);
static int cmd_jar_parse(cmd_cookie_t *cookie, const char *value,
    const char *directory);
static int cmd_jar_parse_header(cmd_cookie_t *cookie, const char *header);
static int cmd_jar_complete(cmd_cookie_t *cookie, const atls_peer_t *peer,
    const char *directory);
static int cmd_jar_is_host(const char *name);


void
cmd_jar_open(cmd_jar_t *jar, const cmd_options_t *options)
{
    size_t   i;
    CURL    *reader;

    jar->options = options;

    if (options->cookie_files.n == 0 && options->cookie_jar == NULL) {
        return;
    }

    jar->curl = cmd_jar_handle();
    curl_easy_setopt(jar->curl, CURLOPT_COOKIEJAR, options->cookie_jar);

    /* newer versions of libcurl write no file if none was read */

    curl_easy_setopt(jar->curl, CURLOPT_COOKIEFILE, "");
    curl_easy_setopt(jar->curl, CURLOPT_COOKIELIST, "RELOAD");

    /* a handle reads its files again when it writes one */

    reader = cmd_jar_handle();

    for (i = 0; i < options->cookie_files.n; i++) {
        curl_easy_setopt(reader, CURLOPT_COOKIEFILE,
                         options->cookie_files.items[i]);
    }

    curl_easy_setopt(reader, CURLOPT_COOKIESESSION,
                     (long) options->junk_cookies);
    curl_easy_setopt(reader, CURLOPT_COOKIELIST, "RELOAD");

    atls_cookies_copy(jar->curl, reader);
    curl_easy_cleanup(reader);
}


static CURL *
cmd_jar_handle(void)
{
    CURL  *curl;

    curl = curl_easy_init();

    if (curl == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    return curl;
}


/* As in curl, the host is that of -H, if set. */

static void
cmd_jar_peer(const cmd_jar_t *jar, const cmd_url_t *url, atls_peer_t *peer)
{
    char        *text;
    const char  *host;

    host = cmd_jar_header(jar, "Host");
    text = cmd_format("https://%s", host ? host : "");

    atls_peer_parse(peer, text);
    free(text);

    if (peer->host == NULL) {
        atls_peer_parse(peer, url->origin);
    }

    if (peer->host == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }
}


static const char *
cmd_jar_header(const cmd_jar_t *jar, const char *name)
{
    size_t                i;
    const cmd_options_t  *options = jar->options;

    for (i = 0; i < options->nheaders; i++) {
        if (strcasecmp(options->headers[i].name, name) == 0) {
            return options->headers[i].value ? options->headers[i].value : "";
        }
    }

    return NULL;
}


char *
cmd_jar_value(const cmd_jar_t *jar, const cmd_url_t *url)
{
    char        *kept, *value;
    const char  *text;

    kept = jar->curl ? cmd_jar_select(jar, url) : NULL;
    text = cmd_jar_header(jar, "Cookie") ? NULL : jar->options->cookie;

    if (kept == NULL || text == NULL) {
        return kept || text == NULL ? kept : cmd_copy(text, strlen(text));
    }

    value = cmd_format("%s; %s", kept, text);
    free(kept);

    return value;
}


static char *
cmd_jar_select(const cmd_jar_t *jar, const cmd_url_t *url)
{
    char               *text;
    size_t              n, number;
    atls_peer_t         peer;
    cmd_cookie_t       *cookies, *cookie;
    struct curl_slist  *list, *line;

    list = NULL;
    curl_easy_getinfo(jar->curl, CURLINFO_COOKIELIST, &list);

    cmd_jar_peer(jar, url, &peer);
    cookies = cmd_alloc(CMD_JAR_MAX * sizeof(cmd_cookie_t));
    n = 0;
    number = 0;

    for (line = list; line && n < CMD_JAR_MAX; line = line->next) {

        cookie = &cookies[n];

        if (cmd_cookie_split(cookie, line->data) == -1) {
            continue;
        }

        cookie->number = number++;

        if (cmd_cookie_matches(cookie, &peer, url->path)) {
            n++;

        } else {
            cmd_cookie_free(cookie);
        }
    }

    text = cmd_jar_join(cookies, n);

    free(cookies);
    atls_peer_free(&peer);
    curl_slist_free_all(list);

    return text;
}


static char *
cmd_jar_join(cmd_cookie_t *cookies, size_t n)
{
    char    *text, *longer;
    size_t   i;

    qsort(cookies, n, sizeof(cmd_cookie_t), cmd_cookie_order);
    text = NULL;

    for (i = 0; i < n; i++) {

        longer = cmd_format("%s%s%s=%s", text ? text : "", text ? "; " : "",
                            cookies[i].name, cookies[i].value);

        if (strlen(longer) < CMD_JAR_SIZE) {
            free(text);
            text = longer;

        } else {
            free(longer);
        }

        cmd_cookie_free(&cookies[i]);
    }

    return text;
}


void
cmd_jar_receive(cmd_jar_t *jar, const cmd_url_t *url, const char *value)
{
    char          *line, *directory;
    atls_peer_t    peer;
    cmd_cookie_t   cookie;

    if (jar->curl == NULL) {
        return;
    }

    directory = cmd_jar_directory(url);

    if (cmd_jar_parse(&cookie, value, directory) == 0) {

        cmd_jar_peer(jar, url, &peer);

        if (cmd_jar_complete(&cookie, &peer, directory)) {
            line = cmd_cookie_line(&cookie);
            curl_easy_setopt(jar->curl, CURLOPT_COOKIELIST, line);
            free(line);
        }

        atls_peer_free(&peer);
        cmd_cookie_free(&cookie);
    }

    free(directory);
}


/* The default path: up to the last slash. */

static char *
cmd_jar_directory(const cmd_url_t *url)
{
    size_t  n;

    n = strcspn(url->path, "?");

    while (n > 1 && url->path[n - 1] != '/') {
        n--;
    }

    return cmd_copy(url->path, n);
}


/*
 * Inserts default values of attributes: if an attribute is repeated, the last
 * one is used.  Returns 0, or -1 if the cookie is invalid.
 */

static int
cmd_jar_parse(cmd_cookie_t *cookie, const char *value, const char *directory)
{
    int      rc, hidden;
    char    *header, *kept;
    size_t   n;

    value += strspn(value, " \t");
    n = strcspn(value, ";");

    if (*value == '=' || memchr(value, '=', n) == NULL) {
        return -1;
    }

    /* the prefix forbids a domain, and is checked later */

    hidden = cmd_jar_is_host(value);

    header = cmd_format("Set-Cookie: %s%.*s; domain=" CMD_JAR_NO_DOMAIN
                        "; path=%s%s", hidden ? "-" : "", (int) n, value,
                        strcmp(directory, "/") ? CMD_JAR_NO_PATH : "/",
                        value + n);

    rc = cmd_jar_parse_header(cookie, header);

    if (rc == -1) {

        /* newer versions of libcurl do not return an expired cookie */

        kept = cmd_format("%s; max-age=86400", header);
        rc = cmd_jar_parse_header(cookie, kept);
        free(kept);

        cookie->expires = 1;
    }

    free(header);

    if (rc == 0) {
        cookie->name += hidden;
    }

    return rc;
}


static int
cmd_jar_parse_header(cmd_cookie_t *cookie, const char *header)
{
    int                 rc;
    CURL               *curl;
    struct curl_slist  *list;

    curl = cmd_jar_handle();
    list = NULL;

    curl_easy_setopt(curl, CURLOPT_COOKIELIST, header);
    curl_easy_getinfo(curl, CURLINFO_COOKIELIST, &list);

    rc = list ? cmd_cookie_split(cookie, list->data) : -1;

    curl_slist_free_all(list);
    curl_easy_cleanup(curl);

    return rc;
}


/* Replaces missing values.  Returns 0 if the cookie is not accepted. */

static int
cmd_jar_complete(cmd_cookie_t *cookie, const atls_peer_t *peer,
    const char *directory)
{
    /* newer versions of libcurl do not recognize addresses within a header */

    if (strcmp(cookie->domain, CMD_JAR_NO_DOMAIN) == 0) {
        cookie->domain = peer->host;
        cookie->subdomains = 0;

    } else if (peer->ip) {
        cookie->subdomains = 0;
    }

    if (strcmp(cookie->path, CMD_JAR_NO_PATH) == 0) {
        cookie->path = directory;
    }

    if (cmd_jar_is_host(cookie->name)
        && (!cookie->secure || cookie->subdomains
            || strcmp(cookie->path, "/") != 0))
    {
        return 0;
    }

    return cmd_cookie_allowed(cookie, peer);
}


static int
cmd_jar_is_host(const char *name)
{
    return strncasecmp(name, CMD_JAR_HOST, sizeof(CMD_JAR_HOST) - 1) == 0;
}


void
cmd_jar_close(cmd_jar_t *jar)
{
    curl_easy_cleanup(jar->curl);
}
