
/* What is common to all uses of libcoap. */


#ifndef ATLS_CMD_COAP_LIBRARY_H_INCLUDED
#define ATLS_CMD_COAP_LIBRARY_H_INCLUDED


/* The largest datagram: the minimum MTU of IPv6 (RFC 8200, section 5). */

#define CMD_COAP_MTU    (1280 - 48)


/*
 * Initializes libcoap, once; its messages are written to stderr, if at all.
 * May be called by several threads.
 */

void cmd_coap_start(int verbose);

/*
 * Whether a certificate and its key can be used: libcoap reads the files in
 * each handshake, and does not say what is wrong.  Returns 0 or -1.
 */

int cmd_coap_check_cert(const char *cert, const char *key);


#endif /* ATLS_CMD_COAP_LIBRARY_H_INCLUDED */
