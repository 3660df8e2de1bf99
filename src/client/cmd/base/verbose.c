
/*
 * Messages of -v, see verbose.h.
 */


#include <stdarg.h>
#include <stdio.h>

#include "../../lib/error.h"
#include "../../lib/hex.h"
#include "verbose.h"


static void cmd_verbose_certificate(const char *layer,
    const atls_certificate_t *certificate, const char *verdict);


void
cmd_verbose(void *data, atls_debug_e what, const char *line)
{
    static const char *const  marks[] = { "outer* ", "outer> ", "outer< ",
                                          "* ", "> ", "< " };

    const char *tag = data;

    fprintf(stderr, "%s%s%s\n", tag ? tag : "", marks[what], line);
}


void
cmd_verbose_print(const char *format, ...)
{
    char     line[1024];
    va_list  args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);

    atls_printable(line);
    cmd_verbose(NULL, ATLS_DEBUG_INNER, line);
}


void
cmd_verbose_peers(atls_client_t *client)
{
    atls_outer_info_t    outer;
    atls_session_info_t  inner;

    if (atls_get_outer(client, &outer) == ATLS_OK && outer.nchain) {
        cmd_verbose_certificate("transport", outer.chain,
                                outer.verify_result == 0
                                ? "trusted"
                                : outer.verify_text);
    } else {
        cmd_verbose_print("transport: no certificate");
    }

    if (atls_get_session(client, &inner) != ATLS_OK) {
        cmd_verbose_print("service: no session");

    } else if (inner.psk) {
        cmd_verbose_print("service: %s, %s, authenticated by the pre-shared "
                          "key",
                          inner.protocol, inner.cipher);

    } else if (inner.certificate) {
        cmd_verbose_print("service: %s, %s%s", inner.protocol, inner.cipher,
                          inner.resumed ? ", resumed" : "");
        cmd_verbose_certificate("service", inner.certificate,
                                inner.verify_result == 0 ? "verified"
                                                         : inner.verify_text);
    }
}


static void
cmd_verbose_certificate(const char *layer,
    const atls_certificate_t *certificate, const char *verdict)
{
    char  hex[2 * sizeof(certificate->sha256) + 1];

    atls_hex(hex, certificate->sha256, sizeof(certificate->sha256));

    cmd_verbose_print("%s: certificate of %s", layer, certificate->subject);
    cmd_verbose_print("%s: issued by %s", layer, certificate->issuer);
    cmd_verbose_print("%s: SHA-256 %s", layer, hex);
    cmd_verbose_print("%s: %s", layer, verdict);
}
