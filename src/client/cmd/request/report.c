
/*
 * The report of the outer certificate, see report.h.
 */


#include <stdlib.h>
#include <stdio.h>

#include "../base/util.h"
#include "report.h"


static char *cmd_report_string(const char *text);


char *
cmd_report(const atls_outer_info_t *info)
{
    char                      *digest, *subject, *issuer, *value;
    const atls_certificate_t  *certificate;

    if (info->nchain == 0) {
        return cmd_format("verified=?0");
    }

    certificate = info->chain;

    digest = cmd_base64(certificate->sha256, sizeof(certificate->sha256));
    subject = cmd_report_string(certificate->subject);
    issuer = cmd_report_string(certificate->issuer);

    value = cmd_format("sha-256=:%s:, subject=%s, issuer=%s, verified=?%d",
                       digest, subject, issuer, info->verify_result == 0);
    free(digest);
    free(subject);
    free(issuer);

    return value;
}


/*
 * Strings of structured fields are ASCII.  Other bytes are escaped as in names,
 * RFC 4514, section 2.4; the backslash is doubled by the string.
 */

static char *
cmd_report_string(const char *text)
{
    char                 *string, *s;
    size_t                n;
    const unsigned char  *p;

    for (n = 3, p = (const unsigned char *) text; *p; p++) {
        n += 4;
    }

    string = s = cmd_alloc(n);
    *s++ = '"';

    for (p = (const unsigned char *) text; *p; p++) {

        if (*p >= 0x80) {
            s += snprintf(s, 5, "\\\\%02X", *p);
            continue;
        }

        if (*p == '"' || *p == '\\') {
            *s++ = '\\';
        }

        *s++ = (char) *p;
    }

    *s = '"';

    return string;
}
