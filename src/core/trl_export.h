
/*
 * Exported keying material of an established session.
 */


#ifndef _TRL_EXPORT_H_INCLUDED_
#define _TRL_EXPORT_H_INCLUDED_


#include "trl_state.h"


/*
 * Keying material exporter, RFC 5705 and RFC 8446, section 7.5.  In TLS 1.2
 * context == NULL differs from an empty one.  Reserved labels are refused, as
 * by OpenSSL, and in TLS 1.3 those longer than TRL_MAX_LABEL.  The caller is
 * to look at extended_master before (RFC 7627, section 5.4): without it, other
 * sessions may have the same keying material.  Returns 0 or -1.
 */

int trl_export(const trl_state_t *state, const char *label, size_t label_len,
    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len);

/* 1 if the label begins as one of those that the handshake uses, else 0. */

int trl_label_reserved(const char *label, size_t len);


#endif /* _TRL_EXPORT_H_INCLUDED_ */
