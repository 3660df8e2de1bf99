
/*
 * The borders of TLS records, see records.h.
 */


#include "records.h"


#define ATLS_RECORDS_MIN_POST   21

#define ATLS_RECORDS_MIN_TYPE   20
#define ATLS_RECORDS_DATA       23
#define ATLS_RECORDS_MAX_TYPE   24
#define ATLS_RECORDS_MAJOR      3


static void atls_records_begin(atls_records_t *records);


void
atls_records_add(atls_records_t *records, const unsigned char *bytes, size_t n)
{
    size_t  piece;

    while (n && !records->bad) {

        if (records->n < ATLS_RECORDS_HEADER) {
            records->header[records->n++] = *bytes++;
            n--;

            if (records->n < ATLS_RECORDS_HEADER) {
                continue;
            }

            atls_records_begin(records);
        }

        piece = n < records->rest ? n : records->rest;

        records->rest -= piece;
        bytes += piece;
        n -= piece;

        if (records->rest == 0) {
            records->n = 0;
            records->ended++;
        }
    }
}


/* RFC 8446, section 5.1 */

static void
atls_records_begin(atls_records_t *records)
{
    const unsigned char  *p = records->header;

    records->rest = (size_t) p[3] << 8 | p[4];
    records->bad = p[0] < ATLS_RECORDS_MIN_TYPE || p[0] > ATLS_RECORDS_MAX_TYPE
                   || p[1] != ATLS_RECORDS_MAJOR;

    if (p[0] == ATLS_RECORDS_DATA) {
        records->data = 1;
    }
}


int
atls_records_whole(const atls_records_t *records)
{
    return records->n == 0;
}


int
atls_records_post(atls_records_t *records, const unsigned char *bytes, size_t n)
{
    int       whole;
    uint64_t  ended;

    whole = atls_records_whole(records);
    ended = records->ended;

    atls_records_add(records, bytes, n);

    return n >= ATLS_RECORDS_MIN_POST && !records->bad
           && (whole || records->ended != ended);
}
