
/*
 * Common functions of the unit tests for records and channels.  The tested
 * code is included, so that static functions can be tested and TRL_AEAD_LIMIT
 * can be set.
 */


#ifndef _UNIT_H_INCLUDED_
#define _UNIT_H_INCLUDED_


#include "../../src/core/trl_cipher.c"
#include "../../src/core/trl_record.c"
#include "../../src/core/trl_hash.c"
#include "../../src/core/trl_derive.c"
#include "../../src/core/trl_state.c"
#include "../../src/core/trl_export.c"
#include "../../src/core/trl_channel.c"
#include "../../src/core/trl_window.c"
#include "../../src/core/trl_ece.c"
#include "../../src/core/trl_message.c"
#include "../../src/core/trl_datagram.c"
#include "../../src/core/trl_flight.c"

#include "tap.h"


#define UNIT_LAST_AEAD  TRL_AES_256_CCM_8
#define UNIT_BUFFER     (TRL_MAX_RECORD + TRL_CHANNEL_OVERHEAD)


/* The tested channel, and the ciphers of its peer. */

typedef struct {
    trl_state_t         state;
    trl_state_t         peer;
    trl_channel_t       ch;
    trl_cipher_t        read;
    trl_cipher_t        write;
} unit_pair_t;


static inline void
unit_fill(void *p, size_t n, unsigned seed)
{
    size_t    i;
    uint8_t  *b;

    b = p;

    for (i = 0; i < n; i++) {
        seed = seed * 1103515245 + 12345;
        b[i] = (uint8_t) (seed >> 16);
    }
}


static inline void
unit_pair(unit_pair_t *p, unsigned protocol, unsigned aead)
{
    trl_state_t  *s;

    memset(p, 0, sizeof(unit_pair_t));

    s = &p->state;
    s->version = TRL_STATE_VERSION;
    s->protocol = (uint16_t) protocol;
    s->aead = (uint8_t) aead;
    s->sha384 = (aead == TRL_AES_256_GCM);
    s->max_fragment = TRL_MAX_PLAINTEXT;

    if (protocol == TRL_TLSv1_3) {
        unit_fill(&s->u, sizeof(s->u), 1);
        must(trl_traffic_key(s, s->u.tls13.read_secret, &s->read) == 0);
        must(trl_traffic_key(s, s->u.tls13.write_secret, &s->write) == 0);

    } else {
        unit_fill(&s->read, sizeof(trl_key_t), 2);
        unit_fill(&s->write, sizeof(trl_key_t), 3);
        s->read.seq = 1;
        s->write.seq = 1;
        s->read.forged = 0;
        s->write.forged = 0;
    }

    if (trl_is_datagram(protocol)) {
        s->read.seq |= (uint64_t) TRL_DATA_EPOCH << 48;
        s->write.seq |= (uint64_t) TRL_DATA_EPOCH << 48;
    }

    p->peer = *s;
    p->peer.read = s->write;
    p->peer.write = s->read;
    memcpy(p->peer.u.tls13.read_secret, s->u.tls13.write_secret,
           TRL_MAX_SECRET);
    memcpy(p->peer.u.tls13.write_secret, s->u.tls13.read_secret,
           TRL_MAX_SECRET);

    must(trl_cipher_init(&p->read, protocol, aead, &p->peer.read, 0) == 0);
    must(trl_cipher_init(&p->write, protocol, aead, &p->peer.write, 1) == 0);
    must(trl_channel_init(&p->ch, &p->state) == TRL_OK);

    p->write.end = UINT64_MAX;
}


static inline void
unit_pair_done(unit_pair_t *p)
{
    trl_channel_done(&p->ch);
    trl_cipher_done(&p->read);
    trl_cipher_done(&p->write);
}


/* Moves the state of the channel, as if to another process. */

static inline void
unit_move(trl_channel_t *ch, trl_state_t *to)
{
    trl_state_t  *from;

    from = ch->state;

    trl_channel_done(ch);
    memcpy(to, from, sizeof(trl_state_t));
    memset(from, 0xa5, sizeof(trl_state_t));

    must(trl_channel_init(ch, to) == TRL_OK);
}


/* Creates a record of the channel's peer. */

static inline size_t
unit_seal(unit_pair_t *p, unsigned type, const void *data, size_t len,
    uint8_t *record)
{
    ssize_t       n;
    struct iovec  iov;

    iov.iov_base = (void *) data;
    iov.iov_len = len;

    n = trl_record_seal(&p->write, type, &iov, 1, record);
    must(n > 0);

    return (size_t) n;
}


/*
 * The same for AES-GCM, without the tested code and its limits: the content is
 * used as it is (with TLS 1.3, including the type and padding).
 */

static inline size_t
unit_raw_seal(trl_key_t *key, unsigned protocol, size_t key_size,
    unsigned type, unsigned version, const void *data, size_t len,
    uint8_t *record)
{
    int                i, n, total;
    size_t             size;
    uint8_t            nonce[12], aad[13], *p;
    EVP_CIPHER_CTX    *ctx;
    const EVP_CIPHER  *cipher;

    cipher = (key_size == 16) ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    size = len + 16 + (protocol == TRL_TLSv1_2 ? 8 : 0);

    record[0] = (uint8_t) type;
    record[1] = (uint8_t) (version >> 8);
    record[2] = (uint8_t) version;
    record[3] = (uint8_t) (size >> 8);
    record[4] = (uint8_t) size;

    p = record + 5;
    memcpy(nonce, key->iv, 12);

    for (i = 0; i < 8; i++) {
        aad[i] = (uint8_t) (key->seq >> (56 - 8 * i));

        if (protocol == TRL_TLSv1_2) {
            nonce[4 + i] = aad[i];
            *p++ = aad[i];

        } else {
            nonce[4 + i] ^= aad[i];
        }
    }

    memcpy(aad + 8, record, 3);
    aad[11] = (uint8_t) (len >> 8);
    aad[12] = (uint8_t) len;

    key->seq++;

    ctx = EVP_CIPHER_CTX_new();
    must(ctx != NULL);
    must(EVP_EncryptInit_ex(ctx, cipher, NULL, key->key, nonce) == 1);

    if (protocol == TRL_TLSv1_2) {
        must(EVP_EncryptUpdate(ctx, NULL, &n, aad, 13) == 1);

    } else {
        must(EVP_EncryptUpdate(ctx, NULL, &n, record, 5) == 1);
    }

    total = 0;

    if (len) {
        must(EVP_EncryptUpdate(ctx, p, &total, data, (int) len) == 1);
    }

    must(EVP_EncryptFinal_ex(ctx, p + total, &n) == 1);
    must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, p + len) == 1);

    EVP_CIPHER_CTX_free(ctx);

    return 5 + size;
}


static inline const char *
unit_aead_name(unsigned aead)
{
    static const char  *names[] = {
        "none", "AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305",
        "AES-128-CCM", "AES-256-CCM", "AES-128-CCM-8", "AES-256-CCM-8"
    };

    return names[aead];
}


static inline const char *
unit_protocol_name(unsigned protocol)
{
    return (protocol == TRL_TLSv1_3) ? "TLS 1.3"
           : trl_is_datagram(protocol) ? "DTLS 1.2" : "TLS 1.2";
}


#endif /* _UNIT_H_INCLUDED_ */
