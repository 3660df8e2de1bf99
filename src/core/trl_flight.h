
/*
 * Records of a DTLS handshake, before they are passed to OpenSSL: it keeps
 * those that come too early, and would keep more of them than any flight has.
 *
 * Plain C and OpenSSL's public API, no nginx types.
 */


#ifndef _TRL_FLIGHT_H_INCLUDED_
#define _TRL_FLIGHT_H_INCLUDED_


#include "trl_record.h"
#include "trl_state.h"


/*
 * Messages of a client that are not encrypted, RFC 6347, section 4.2.4:
 * ClientHello; Certificate, ClientKeyExchange, CertificateVerify.  Without
 * HelloVerifyRequest, the ClientHello has the number 0.
 */

#define TRL_FLIGHT_MESSAGES         4

/* Records of the epoch of Finished that may come before ChangeCipherSpec. */

#define TRL_FLIGHT_EARLY            2

/* The length of a message that is not the next one. */

#define TRL_FLIGHT_MAX              TRL_MAX_PLAINTEXT


typedef enum {
    trl_flight_needed = 0,
    trl_flight_again,                       /* the last flight was lost */
    trl_flight_alert,                       /* not authentic */
    trl_flight_useless
} trl_flight_e;


typedef struct {
    unsigned            answered;           /* messages before the last flight
                                               sent */
    unsigned            early;              /* records before
                                               ChangeCipherSpec */
} trl_flight_t;


/*
 * Whether a whole record of a client is to be passed to OpenSSL, otherwise it
 * is discarded.  "again": the last flight sent is to be sent again; "alert": it
 * has the level and the description.
 */

trl_flight_e trl_flight_check(trl_flight_t *flight, const trl_watch_t *watch,
    const uint8_t *record, size_t len);


#endif /* _TRL_FLIGHT_H_INCLUDED_ */
