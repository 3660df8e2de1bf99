
/*
 * Pre-shared keys, see psk.h.
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "../cmd/base/exitcode.h"
#include "../cmd/base/file.h"
#include "../cmd/base/util.h"
#include "psk.h"


static int gw_psk_add(gw_psk_t *psk, const char *line, size_t n);
static int gw_psk_key(gw_psk_item_t *item, const char *hex, size_t n);
static int gw_psk_digit(char ch);


int
gw_psk_read(gw_psk_t *psk, const char *file)
{
    int          code;
    char        *text, *line;
    size_t       n, size;
    unsigned     number;

    code = cmd_file_read_text(file, &text, &size);

    if (code != CMD_OK) {
        return code;
    }

    line = text;

    for (number = 1; code == CMD_OK && *line; number++) {
        n = strcspn(line, "\n");

        if (gw_psk_add(psk, line, n && line[n - 1] == '\r' ? n - 1 : n)
            == -1)
        {
            code = cmd_fail(CMD_IDENTITY, "%s:%u must be IDENTITY:KEY, with "
                                          "the key in hex", file, number);
        }

        line += n + (line[n] == '\n');
    }

    OPENSSL_cleanse(text, size);
    free(text);

    return code == CMD_OK && psk->n == 0
           ? cmd_fail(CMD_IDENTITY, "%s has no keys", file) : code;
}


/* The key follows the last colon, as in the server's files. */

static int
gw_psk_add(gw_psk_t *psk, const char *line, size_t n)
{
    const char     *colon;
    gw_psk_item_t  *item;

    if (n == 0 || *line == '#') {
        return 0;
    }

    colon = memrchr(line, ':', n);

    if (colon == NULL || colon == line) {
        return -1;
    }

    psk->items = cmd_realloc(psk->items, (psk->n + 1) * sizeof(gw_psk_item_t));

    item = &psk->items[psk->n++];
    item->identity = cmd_copy(line, (size_t) (colon - line));

    return gw_psk_key(item, colon + 1, n - (size_t) (colon + 1 - line));
}


static int
gw_psk_key(gw_psk_item_t *item, const char *hex, size_t n)
{
    int             high, low;
    size_t          i;
    unsigned char  *key;

    key = cmd_alloc(n / 2 + 1);

    item->key.s = key;
    item->key.length = n / 2;

    for (i = 0; i < n / 2; i++) {
        high = gw_psk_digit(hex[2 * i]);
        low = gw_psk_digit(hex[2 * i + 1]);

        if (high == -1 || low == -1) {
            return -1;
        }

        key[i] = (unsigned char) (high << 4 | low);
    }

    return n && n % 2 == 0 ? 0 : -1;
}


static int
gw_psk_digit(char ch)
{
    return ch >= '0' && ch <= '9' ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
           : -1;
}


void
gw_psk_free(gw_psk_t *psk)
{
    size_t  i;

    for (i = 0; i < psk->n; i++) {
        cmd_wipe(psk->items[i].identity);
        OPENSSL_cleanse((void *) psk->items[i].key.s, psk->items[i].key.length);
        free((void *) psk->items[i].key.s);
    }

    free(psk->items);
}


const coap_bin_const_t *
gw_psk_find(const gw_psk_t *psk, const void *identity, size_t n)
{
    size_t  i;

    for (i = 0; i < psk->n; i++) {
        if (strlen(psk->items[i].identity) == n
            && memcmp(psk->items[i].identity, identity, n) == 0)
        {
            return &psk->items[i].key;
        }
    }

    return NULL;
}
