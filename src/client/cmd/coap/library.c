
/*
 * Common uses of libcoap, see library.h.
 */


#include <pthread.h>
#include <stdio.h>

#include <coap3/coap.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "library.h"


static void cmd_coap_start_once(void);
static void cmd_coap_log(coap_log_t level, const char *message);


void
cmd_coap_start(int verbose)
{
    static pthread_once_t  once = PTHREAD_ONCE_INIT;

    pthread_once(&once, cmd_coap_start_once);

    coap_set_log_level(verbose ? LOG_DEBUG : LOG_EMERG);
}


static void
cmd_coap_start_once(void)
{
    coap_startup();
    coap_set_log_handler(cmd_coap_log);
    coap_set_show_pdu_output(0);
}


/* stdout is for the output of the command. */

static void
cmd_coap_log(coap_log_t level, const char *message)
{
    (void) level;

    fputs(message, stderr);
}


int
cmd_coap_check_cert(const char *cert, const char *key)
{
    int       rc;
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(DTLS_method());

    rc = ctx
         && SSL_CTX_use_certificate_file(ctx, cert, SSL_FILETYPE_PEM) == 1
         && SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) == 1
         ? 0 : -1;

    SSL_CTX_free(ctx);
    ERR_clear_error();

    return rc;
}
