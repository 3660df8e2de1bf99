
/*
 * Sources, see source.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../cmd/base/util.h"
#include "source.h"


#define GW_HISTORY      4               /* a part of max_memory, in addition */
#define GW_KEPT         300000          /* milliseconds, as GW_IDLE */


static void gw_source_address(gw_source_t *source);
static gw_source_t *gw_source_oldest(const gw_source_t *source);
static void gw_source_release(gw_source_t *source);
static void gw_source_expire(gw_source_t *source, int64_t now);
static void gw_source_free(gw_source_t *source);


void
gw_sources_init(gw_sources_t *sources, gw_limits_t *limits)
{
    TAILQ_INIT(&sources->list);
    TAILQ_INIT(&sources->kept);
    sources->nkept = 0;
    gw_history_init(&sources->history, limits->max_memory / GW_HISTORY);
    sources->shares.tree = NULL;
    sources->shares.limits = limits;
}


void
gw_sources_free(gw_sources_t *sources)
{
    gw_source_t  *source;

    while ((source = TAILQ_FIRST(&sources->list))) {
        gw_source_free(source);
    }
}


gw_source_t *
gw_source_get(gw_sources_t *sources, coap_session_t *coap)
{
    gw_source_t  *source;

    source = coap_session_get_app_data(coap);

    if (source) {
        return source;
    }

    source = cmd_alloc(sizeof(gw_source_t));
    source->sources = sources;
    source->coap = coap;
    source->secure = coap_session_get_proto(coap) == COAP_PROTO_DTLS;
    source->verified = source->secure;

    gw_source_address(source);

    gw_exchanges_init(&source->exchanges, &sources->history);
    gw_uploads_init(&source->uploads, source->share);
    gw_answers_init(&source->answers, source->share);
    gw_confirms_init(&source->confirms, source->share);

    /*
     * Others would have to wait until libcoap has given up the first one, and
     * their number would not be limited: RFC 7252, section 4.7, is about
     * requests.
     */

    coap_session_set_nstart(coap, GW_CONFIRMS);

    TAILQ_INSERT_TAIL(&sources->list, source, entry);
    sources->shares.limits->sources++;

    coap_session_set_app_data(coap, source);

    return source;
}


static void
gw_source_address(gw_source_t *source)
{
    size_t                 n;
    const void            *address;
    const coap_address_t  *remote;

    remote = coap_session_get_addr_remote(source->coap);

    n = coap_print_addr(remote, (unsigned char *) source->name,
                        GW_SOURCE_NAME - 1);
    source->name[n < GW_SOURCE_NAME ? n : 0] = '\0';

    if (remote->addr.sa.sa_family == AF_INET) {
        address = &remote->addr.sin.sin_addr;
        n = sizeof(struct in_addr);

    } else if (IN6_IS_ADDR_V4MAPPED(&remote->addr.sin6.sin6_addr)) {

        /* one of IPv4, at a socket for both */

        address = &remote->addr.sin6.sin6_addr.s6_addr[12];
        n = sizeof(struct in_addr);

    } else {
        address = &remote->addr.sin6.sin6_addr;
        n = GW_SHARE_ADDRESS;
    }

    source->share = gw_share_get(&source->sources->shares, address, n);
}


void
gw_source_keep(gw_source_t *source, int64_t now)
{
    gw_source_t   *oldest;
    gw_sources_t  *sources = source->sources;

    if (source->kept) {
        TAILQ_REMOVE(&sources->kept, source, order);

    } else {
        oldest = gw_source_oldest(source);

        if (oldest) {
            gw_source_release(oldest);
        }

        coap_session_reference(source->coap);
        source->kept = 1;
        source->share->kept++;
        sources->nkept++;
    }

    source->used = now;
    TAILQ_INSERT_TAIL(&sources->kept, source, order);
}


/* The one that must be released if another one is kept, or NULL. */

static gw_source_t *
gw_source_oldest(const gw_source_t *source)
{
    gw_source_t         *oldest;
    const gw_share_t    *share = source->share;
    const gw_sources_t  *sources = source->sources;

    if (share->kept + sources->nkept < share->limits->max_sources) {
        return NULL;
    }

    oldest = TAILQ_FIRST(&sources->kept);

    /* one of the same address, if it has any */

    while (share->kept && oldest->share != share) {
        oldest = TAILQ_NEXT(oldest, order);
    }

    return oldest;
}


/* From now on, it is one of libcoap's idle sessions. */

static void
gw_source_release(gw_source_t *source)
{
    TAILQ_REMOVE(&source->sources->kept, source, order);
    source->sources->nkept--;
    source->share->kept--;
    source->kept = 0;

    coap_session_release(source->coap);
}


void
gw_source_closed(gw_source_t *source)
{
    if (source->kept) {
        gw_source_release(source);
    }
}


void
gw_source_gone(coap_session_t *coap)
{
    gw_source_t  *source;

    source = coap_session_get_app_data(coap);

    if (source) {
        gw_source_free(source);
    }
}


void
gw_source_set(gw_source_t *source, const gw_service_t *service,
    const char *relative)
{
    free(source->relative);

    source->service = service;
    source->fresh = 1;
    source->relative = relative ? cmd_copy(relative, strlen(relative)) : NULL;
}


void
gw_sources_expire(gw_sources_t *sources, int64_t now)
{
    gw_source_t  *source;

    TAILQ_FOREACH(source, &sources->list, entry) {
        gw_source_expire(source, now);
    }

    while ((source = TAILQ_FIRST(&sources->kept))
           && now - source->used >= GW_KEPT)
    {
        gw_source_release(source);
    }
}


static void
gw_source_expire(gw_source_t *source, int64_t now)
{
    gw_exchanges_expire(&source->exchanges, now);
    gw_uploads_expire(&source->uploads, now);
    gw_answers_expire(&source->answers, now);
    gw_confirms_expire(&source->confirms, now);
}


int
gw_sources_unread(const gw_sources_t *sources)
{
    const gw_source_t  *source;

    TAILQ_FOREACH(source, &sources->list, entry) {
        if (gw_answers_unread(&source->answers)) {
            return 1;
        }
    }

    return 0;
}


static void
gw_source_free(gw_source_t *source)
{
    gw_source_expire(source, INT64_MAX);
    coap_session_set_app_data(source->coap, NULL);

    gw_source_closed(source);

    TAILQ_REMOVE(&source->sources->list, source, entry);
    source->share->limits->sources--;
    gw_share_release(&source->sources->shares, source->share);

    free(source->relative);
    free(source);
}
