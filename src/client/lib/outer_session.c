
/*
 * The session of an outer connection, see outer_session.h.
 */


#include <stdlib.h>
#include <string.h>

#include "outer_session.h"
#include "outer_struct.h"


const char *
atls_outer_session(atls_outer_t *outer)
{
    if (outer->location.id) {
        return outer->location.id;
    }

    free(outer->session);
    outer->session = atls_cookies_session(outer->curl);

    return outer->session;
}


int64_t
atls_outer_expiry(const atls_outer_t *outer)
{
    return outer->expiry.expires;
}


CURLU *
atls_outer_url_now(atls_outer_t *outer)
{
    return outer->location.url ? outer->location.url : outer->url;
}


void
atls_outer_follow(atls_outer_t *outer)
{
    atls_repost_clear(&outer->repost);

    outer->sink_error = atls_location_follow(&outer->location,
                                             atls_outer_url_now(outer),
                                             atls_reply_field(&outer->reply,
                                                              "Location"),
                                             outer->failure);

    outer->post.created = 1;
    outer->post.located = outer->location.url != NULL;
    outer->debug.hidden = outer->location.id;
}


void
atls_outer_forget(atls_outer_t *outer)
{
    curl_easy_setopt(outer->curl, CURLOPT_COOKIELIST, "ALL");
    atls_repost_clear(&outer->repost);
    atls_expiry_clear(&outer->expiry);
    atls_location_clear(&outer->location);

    outer->debug.hidden = NULL;
    memset(&outer->post, 0, sizeof(atls_reply_post_t));
}


int
atls_outer_join(atls_outer_t *outer, const atls_outer_t *other)
{
    outer->post = other->post;
    outer->expiry = other->expiry;
    atls_repost_clear(&outer->repost);

    if (atls_location_copy(&outer->location, &other->location) == -1) {
        return -1;
    }

    outer->debug.hidden = outer->location.id;

    return atls_cookies_copy(outer->curl, other->curl);
}


int
atls_outer_renewed(const atls_outer_t *outer)
{
    return outer->reply.status == 201
           || atls_reply_field(&outer->reply, "Set-Cookie") != NULL;
}


int
atls_outer_is_located(const atls_outer_t *outer)
{
    return outer->location.url != NULL;
}


int
atls_outer_expired(const atls_outer_t *outer)
{
    return atls_expiry_passed(&outer->expiry);
}


unsigned
atls_outer_number(const atls_outer_t *outer)
{
    return outer->post.number;
}
