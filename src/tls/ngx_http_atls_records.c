
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_channel.h"
#include "ngx_http_atls_records.h"


static ngx_http_atls_boundary_e ngx_http_atls_records_header(
    ngx_http_atls_records_t *records);


size_t
ngx_http_atls_records_want(ngx_http_atls_records_t *records)
{
    return records->rest ? records->rest
                         : TRL_HEADER_SIZE - records->header_len;
}


ngx_http_atls_boundary_e
ngx_http_atls_records_input(ngx_http_atls_records_t *records, u_char *data,
    size_t len)
{
    if (records->rest) {
        records->rest -= len;
        return records->rest ? ngx_http_atls_boundary_inside
                             : ngx_http_atls_boundary_end;
    }

    ngx_memcpy(&records->header[records->header_len], data, len);
    records->header_len += len;

    return ngx_http_atls_records_header(records);
}


/* An incomplete header is accepted if its first bytes are valid. */

static ngx_http_atls_boundary_e
ngx_http_atls_records_header(ngx_http_atls_records_t *records)
{
    u_char      *p;
    ngx_uint_t   first;

    p = records->header;

    if (p[0] < TRL_CHANGE_CIPHER_SPEC || p[0] > TRL_APPLICATION_DATA
        || (records->header_len > 1 && p[1] != 3))
    {
        return ngx_http_atls_boundary_not_tls;
    }

    /* an alert as the first record is invalid, and must not be answered */

    if (p[0] == TRL_ALERT && !records->begun) {
        return ngx_http_atls_boundary_not_tls;
    }

    if (records->header_len < TRL_HEADER_SIZE) {
        return ngx_http_atls_boundary_inside;
    }

    records->rest = (p[3] << 8) + p[4];
    records->header_len = 0;

    first = !records->begun;
    records->begun = 1;

    /* the first record is not encrypted: RFC 8446, section 5.1 */

    if (first && (records->rest == 0 || records->rest > TRL_MAX_PLAINTEXT)) {
        return ngx_http_atls_boundary_invalid;
    }

    if (TRL_HEADER_SIZE + records->rest > TRL_MAX_RECORD) {
        return ngx_http_atls_boundary_invalid;
    }

    return records->rest ? ngx_http_atls_boundary_inside
                         : ngx_http_atls_boundary_end;
}
