
/* Certificates and keys in PEM format, in memory: there are no files. */


#ifndef ATLS_CLIENT_JS_PEM_H_INCLUDED
#define ATLS_CLIENT_JS_PEM_H_INCLUDED


#include <openssl/x509.h>


/*
 * The functions return NULL on error, with the reason in OpenSSL's queue.
 * There must be at least one certificate.
 */

STACK_OF(X509) *js_pem_certificates(const char *text);

/* The passphrase may be empty; there is no prompt. */

EVP_PKEY *js_pem_key(const char *text, const char *passphrase);


#endif /* ATLS_CLIENT_JS_PEM_H_INCLUDED */
