
/*
 * Expiry of cookies, see expiry.h.
 */


#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "expiry.h"


/*
 * The server is not reached at once: a cookie is not used in its last part, at
 * most these milliseconds.
 */

#define ATLS_EXPIRY_PART        10
#define ATLS_EXPIRY_MARGIN      5000

#define ATLS_EXPIRY_FIELD       4       /* of Netscape's format: the date */


static time_t atls_expiry_date(const char *line);


void
atls_expiry_clear(atls_expiry_t *expiry)
{
    expiry->expires = 0;
    expiry->date = 0;
}


void
atls_expiry_look(atls_expiry_t *expiry, CURL *curl)
{
    time_t              date;
    int64_t             rest, margin;
    struct curl_slist  *list, *line;

    list = NULL;
    curl_easy_getinfo(curl, CURLINFO_COOKIELIST, &list);

    atls_expiry_clear(expiry);

    for (line = list; line; line = line->next) {
        date = atls_expiry_date(line->data);

        if (date && (expiry->date == 0 || date < expiry->date)) {
            expiry->date = date;
        }
    }

    curl_slist_free_all(list);

    if (expiry->date) {
        rest = ((int64_t) expiry->date - time(NULL)) * 1000;
        margin = rest / ATLS_EXPIRY_PART;

        expiry->expires = atls_clock() + rest
                          - (margin < ATLS_EXPIRY_MARGIN
                             ? margin : ATLS_EXPIRY_MARGIN);
    }
}


/* Returns 0 for a cookie without a date. */

static time_t
atls_expiry_date(const char *line)
{
    int  i;

    for (i = 0; i < ATLS_EXPIRY_FIELD && line; i++) {
        line = strchr(line, '\t');
        line = line ? line + 1 : NULL;
    }

    return line ? (time_t) strtoll(line, NULL, 10) : 0;
}


/* The system time may have been changed: libcurl goes by it. */

int
atls_expiry_passed(const atls_expiry_t *expiry)
{
    return expiry->expires
           && (atls_clock() >= expiry->expires || time(NULL) >= expiry->date);
}
