
/*
 * Requests with exported keys: each request, and the response to it, is a
 * message with a key of its own.  The numbers of messages, and their keys; for
 * the numbers that were used, see trl_window.h.
 *
 * Plain C and OpenSSL's public API, no nginx types.
 */


#ifndef _TRL_MESSAGE_H_INCLUDED_
#define _TRL_MESSAGE_H_INCLUDED_


#include "trl_state.h"


#define TRL_MESSAGE_KEY             32

/* The length of the largest number as text. */

#define TRL_MESSAGE_NUMBER          20


typedef enum {
    TRL_MESSAGE_REQUEST = 1,
    TRL_MESSAGE_RESPONSE = 2
} trl_message_e;


/*
 * Why a session has no keys for messages: a static text; NULL: it has.  The
 * application data must be protected at least as well as by AES-128-GCM.  RFC
 * 7627, section 5.4: without an extended master secret, keys may be the same in
 * other sessions.
 */

const char *trl_message_refused(const trl_state_t *state);

/* Exports the key of a message, TRL_MESSAGE_KEY bytes.  Returns 0 or -1. */

int trl_message_key(const trl_state_t *state, trl_message_e kind,
    uint64_t number, uint8_t *key);

/*
 * Reads a number: decimal, without leading zeros, so that it has one text only.
 * Returns 0 or -1.
 */

int trl_message_number(const uint8_t *text, size_t len, uint64_t *number);


#endif /* _TRL_MESSAGE_H_INCLUDED_ */
