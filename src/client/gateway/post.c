
/*
 * POSTs to services, see post.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/exitcode.h"
#include "../cmd/base/util.h"
#include "../cmd/base/verbose.h"
#include "../cmd/options/route.h"
#include "post.h"


#define GW_POST_TIMEOUT     60000       /* milliseconds */
#define GW_POST_UNUSED      32          /* handles */
#define GW_POST_CONNECTIONS 256         /* kept alive */
#define GW_POST_HEADER      65536       /* bytes, of responses */


static gw_post_t *gw_post_take(gw_poster_t *poster);
static int gw_post_setup(gw_post_t *post);
static int gw_post_debug(CURL *curl, curl_infotype type, char *text, size_t n,
    void *data);
static size_t gw_post_receive_header(char *line, size_t size, size_t n,
    void *data);
static size_t gw_post_receive(char *bytes, size_t size, size_t n, void *data);
static void gw_post_end(gw_post_t *post, CURLcode code);
static void gw_post_release(gw_post_t *post);
static void gw_post_free(gw_post_t *post);


int
gw_poster_init(gw_poster_t *poster, const cmd_options_t *options)
{
    /* Expect would cost a round trip for each large POST */

    static const char *const  fields[] = {
        "Content-Type: " ATLS_MEDIA_TYPE,
        "Accept: " ATLS_MEDIA_TYPE,
        "Expect:",
        NULL
    };

    LIST_INIT(&poster->active);
    LIST_INIT(&poster->unused);

    poster->timeout = options->max_time ? options->max_time : GW_POST_TIMEOUT;
    cmd_route(&poster->route, options);

    if (options->verbose) {
        poster->debug.handler = cmd_verbose;
    }

    poster->multi = curl_multi_init();

    if (poster->multi == NULL
        || atls_route_append(&poster->headers, fields) == -1
        || atls_route_append(&poster->headers, (const char *const *)
                                               options->via_headers.items)
           == -1)
    {
        return cmd_fail(CMD_MEMORY, "out of memory");
    }

    curl_multi_setopt(poster->multi, CURLMOPT_MAXCONNECTS,
                      (long) GW_POST_CONNECTIONS);

    return CMD_OK;
}


void
gw_poster_free(gw_poster_t *poster)
{
    gw_post_t  *post;

    while ((post = LIST_FIRST(&poster->active))) {
        gw_post_release(post);
    }

    while ((post = LIST_FIRST(&poster->unused))) {
        LIST_REMOVE(post, entry);
        gw_post_free(post);
    }

    curl_slist_free_all(poster->headers);
    curl_multi_cleanup(poster->multi);
}


int
gw_post_start(gw_poster_t *poster, gw_share_t *share, const char *url,
    unsigned char *body, size_t n, gw_posted_pt posted, void *data)
{
    gw_post_t  *post;

    post = gw_post_take(poster);

    if (post == NULL) {
        free(body);
        return -1;
    }

    post->share = share;
    post->body = body;
    post->n = n;
    post->posted = posted;
    post->data = data;

    LIST_INSERT_HEAD(&poster->active, post, entry);
    share->posts++;
    share->limits->posts++;
    gw_share_add(share, n);

    if (curl_easy_setopt(post->curl, CURLOPT_URL, url) != CURLE_OK
        || curl_easy_setopt(post->curl, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t) n) != CURLE_OK
        || curl_easy_setopt(post->curl, CURLOPT_POSTFIELDS,
                            n ? (char *) body : "") != CURLE_OK
        || curl_multi_add_handle(poster->multi, post->curl) != CURLM_OK)
    {
        gw_post_release(post);
        return -1;
    }

    return 0;
}


static gw_post_t *
gw_post_take(gw_poster_t *poster)
{
    gw_post_t  *post;

    post = LIST_FIRST(&poster->unused);

    if (post) {
        LIST_REMOVE(post, entry);
        poster->nunused--;

    } else {
        post = cmd_alloc(sizeof(gw_post_t));
        post->poster = poster;
        post->curl = curl_easy_init();

        if (post->curl == NULL || gw_post_setup(post) == -1) {
            gw_post_free(post);
            return NULL;
        }
    }

    atls_reply_init(&post->reply, post->curl);
    atls_reply_clear(&post->reply);

    post->header = 0;
    post->large = 0;
    post->full = 0;
    post->error[0] = '\0';

    return post;
}


/*
 * The certificate of the outer connection is not verified, as by the client:
 * what a device sends is protected by its own TLS.
 */

static int
gw_post_setup(gw_post_t *post)
{
    CURL            *curl = post->curl;
    gw_poster_t     *poster = post->poster;
    atls_failure_t   failure;

    atls_failure_clear(&failure);

    if (curl_easy_setopt(curl, CURLOPT_USERAGENT, "atls-gateway/" ATLS_VERSION)
        != CURLE_OK)
    {
        return -1;
    }

    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, poster->headers);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) poster->timeout);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, post->error);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, gw_post_receive_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, post);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, gw_post_receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, post);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, post);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);

    if (poster->debug.handler) {
        curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
        curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, gw_post_debug);
        curl_easy_setopt(curl, CURLOPT_DEBUGDATA, &poster->debug);
    }

    return atls_route_set(&post->route, curl, &poster->route, &failure);
}


static int
gw_post_debug(CURL *curl, curl_infotype type, char *text, size_t n, void *data)
{
    size_t  i;

    static const struct {
        curl_infotype  type;
        atls_debug_e   what;
    } kinds[] = {
        { CURLINFO_TEXT,        ATLS_DEBUG_OUTER },
        { CURLINFO_HEADER_OUT,  ATLS_DEBUG_OUTER_SENT },
        { CURLINFO_HEADER_IN,   ATLS_DEBUG_OUTER_RECEIVED },
    };

    (void) curl;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].type == type) {
            atls_debug_lines(data, kinds[i].what, text, n);
        }
    }

    return 0;
}


/* libcurl keeps all lines. */

static size_t
gw_post_receive_header(char *line, size_t size, size_t n, void *data)
{
    gw_post_t  *post = data;

    (void) line;
    (void) size;                        /* is 1 */

    post->header += n;

    return post->header > GW_POST_HEADER ? 0 : n;
}


static size_t
gw_post_receive(char *bytes, size_t size, size_t n, void *data)
{
    gw_post_t  *post = data;

    (void) size;                        /* is 1 */

    if (post->reply.kind == ATLS_REPLY_UNKNOWN) {
        atls_reply_begin(&post->reply);
    }

    if (post->reply.kind != ATLS_REPLY_GOOD) {
        return n;                       /* an abort would close the
                                           connection */
    }

    post->large = post->answer.len + n > post->share->limits->max_body;
    post->full = !gw_share_has(post->share, n);

    if (post->large || post->full) {
        return 0;
    }

    if (atls_buf_add(&post->answer, bytes, n) == -1) {
        return 0;
    }

    gw_share_add(post->share, n);

    return n;
}


void
gw_poster_run(gw_poster_t *poster)
{
    int        n;
    char      *data;
    CURLMsg   *msg;
    CURLcode   code;

    curl_multi_perform(poster->multi, &n);

    while ((msg = curl_multi_info_read(poster->multi, &n))) {

        if (msg->msg == CURLMSG_DONE) {
            code = msg->data.result;        /* *msg is freed by removal */
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &data);
            gw_post_end((gw_post_t *) data, code);
        }
    }
}


/*
 * A POST without a response is not started again: the device can do that, and
 * knows how long it waits.
 */

static void
gw_post_end(gw_post_t *post, CURLcode code)
{
    post->code = code;

    if (code == CURLE_OK && post->reply.kind == ATLS_REPLY_UNKNOWN) {
        atls_reply_begin(&post->reply);         /* an empty body */
    }

    if (code != CURLE_OK && post->error[0] == '\0') {
        snprintf(post->error, sizeof(post->error), "%s",
                 curl_easy_strerror(code));
    }

    post->posted(post->data, post);

    gw_post_release(post);
}


static void
gw_post_release(gw_post_t *post)
{
    gw_poster_t  *poster = post->poster;

    curl_multi_remove_handle(poster->multi, post->curl);
    LIST_REMOVE(post, entry);

    post->share->posts--;
    post->share->limits->posts--;
    gw_share_sub(post->share, post->n + post->answer.len);

    free(post->body);
    atls_buf_free(&post->answer);
    atls_reply_free(&post->reply);

    if (poster->nunused == GW_POST_UNUSED) {
        gw_post_free(post);
        return;
    }

    LIST_INSERT_HEAD(&poster->unused, post, entry);
    poster->nunused++;
}


static void
gw_post_free(gw_post_t *post)
{
    curl_easy_cleanup(post->curl);
    atls_route_free(&post->route);
    free(post);
}


const char *
gw_post_header(const gw_post_t *post, const char *name)
{
    struct curl_header  *header;

    return curl_easy_header(post->curl, name, 0, CURLH_HEADER, -1, &header)
           == CURLHE_OK ? header->value : NULL;
}
