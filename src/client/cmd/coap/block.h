
/* Block1 and Block2 options (RFC 7959). */


#ifndef ATLS_CMD_COAP_BLOCK_H_INCLUDED
#define ATLS_CMD_COAP_BLOCK_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

#include <coap3/coap.h>


typedef struct {
    unsigned     num;
    int          more;
    unsigned     szx;
} cmd_block_t;

#define cmd_block_size(szx)     ((size_t) 16 << (szx))
#define cmd_block_offset(b)     ((size_t) (b)->num * cmd_block_size((b)->szx))
#define cmd_block_value(b)                                                    \
    ((b)->num << 4 | (unsigned) (b)->more << 3 | (b)->szx)

#define CMD_BLOCK_MAX_SZX       6       /* 1024 bytes */
#define CMD_BLOCK_MAX_NUM       0xfffff


/* The largest blocks of at most so many bytes, 16 or more. */

unsigned cmd_block_szx(int64_t size);

/* Returns -1 if the option is invalid. */

int cmd_block_read(cmd_block_t *block, const coap_opt_t *option);


#endif /* ATLS_CMD_COAP_BLOCK_H_INCLUDED */
