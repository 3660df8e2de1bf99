
/*
 * Errors of the inner TLS session, see tls_error.h.
 */


#include <openssl/err.h>
#include <openssl/proverr.h>

#include "fault.h"
#include "tls_error.h"
#include "tls_verify.h"


static int atls_tls_reason(void);
static atls_fault_e atls_tls_fault(const atls_tls_t *tls, int reason);


atls_error_e
atls_tls_error(atls_tls_t *tls, const char *what)
{
    int          reason;
    long         result;
    const char  *text;

    reason = atls_tls_reason();
    result = SSL_get_verify_result(tls->ssl);

    if (!tls->finished && result != X509_V_OK
        && reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
    {
        return atls_tls_certificate_error(tls, result);
    }

    tls->failure->fault = atls_tls_fault(tls, reason);
    text = atls_fault_text(tls->failure->fault);

    if (reason >= SSL_AD_REASON_OFFSET) {
        tls->alert = 1;
        ERR_clear_error();

        return atls_fail(tls->failure, ATLS_ERROR_TLS,
                         "%s: the server sent the alert \"%s\"%s%s", what,
                         SSL_alert_desc_string_long(reason
                                                    - SSL_AD_REASON_OFFSET),
                         *text ? ": " : "", text);
    }

    return *text ? atls_fail_openssl(tls->failure, ATLS_ERROR_TLS, "%s: %s",
                                     what, text)
                 : atls_fail_openssl(tls->failure, ATLS_ERROR_TLS, "%s", what);
}


/*
 * The reason of the first error.  With TLS 1.2, that of the cipher precedes the
 * one of a record that cannot be decrypted.
 */

static int
atls_tls_reason(void)
{
    unsigned long  code;

    code = ERR_peek_error();

    while (ERR_GET_LIB(code) == ERR_LIB_PROV
           && ERR_GET_REASON(code) == PROV_R_CIPHER_OPERATION_FAILED
           && ERR_peek_last_error() != code)
    {
        (void) ERR_get_error();
        code = ERR_peek_error();
    }

    return ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
}


/*
 * A response to another ClientHello has another session ID in TLS 1.3, and its
 * signature does not match in TLS 1.2.  If a POST is sent twice and its first
 * response is dropped, the second one has the wrong record numbers.
 */

static atls_fault_e
atls_tls_fault(const atls_tls_t *tls, int reason)
{
    size_t  i, n;

    static const struct {
        int              reason;
        atls_fault_e     handshake;         /* before its end */
        atls_fault_e     session;
    } faults[] = {
        { SSL_R_INVALID_SESSION_ID,
          ATLS_FAULT_CACHED,   ATLS_FAULT_NONE },
        { SSL_R_BAD_SIGNATURE,
          ATLS_FAULT_CACHED,   ATLS_FAULT_NONE },
        { SSL_R_UNSOLICITED_EXTENSION,
          ATLS_FAULT_CACHED,   ATLS_FAULT_NONE },
        { SSL_R_UNEXPECTED_MESSAGE,
          ATLS_FAULT_CACHED,   ATLS_FAULT_NONE },
        { SSL_R_BAD_RECORD_TYPE,
          ATLS_FAULT_CHANGED,  ATLS_FAULT_CACHED },
        { SSL_R_INVALID_ALERT,
          ATLS_FAULT_REPEATED, ATLS_FAULT_NONE },
        { SSL_R_SSLV3_ALERT_BAD_RECORD_MAC,
          ATLS_FAULT_CHANGED,  ATLS_FAULT_REPEATED },
        { SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
          ATLS_FAULT_CHANGED,  ATLS_FAULT_REPEATED },
        { SSL_R_DIGEST_CHECK_FAILED,
          ATLS_FAULT_CHANGED,  ATLS_FAULT_NONE },
        { SSL_R_WRONG_VERSION_NUMBER,
          ATLS_FAULT_CHANGED,  ATLS_FAULT_CHANGED },
    };

    n = sizeof(faults) / sizeof(faults[0]);

    for (i = 0; i < n; i++) {
        if (faults[i].reason == reason) {
            return tls->finished ? faults[i].session : faults[i].handshake;
        }
    }

    return ATLS_FAULT_NONE;
}
