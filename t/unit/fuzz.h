
/*
 * Fuzz targets whose input is a byte, then operations, each with a byte, a
 * length (two bytes) and this many bytes.  Without FUZZ_ENGINE: random input.
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stdint.h>
#include <stdlib.h>


int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);


#ifndef FUZZ_ENGINE

#define FUZZ_INPUT  4096


/* Random operations; short ones, so that others follow. */

static void
fuzz_operations(long runs)
{
    long    i;
    size_t  j, size;

    static uint8_t  input[FUZZ_INPUT];

    srandom(1);

    for (i = 0; i < runs; i++) {
        size = (size_t) random() % FUZZ_INPUT;

        for (j = 0; j < size; j++) {
            input[j] = (uint8_t) (random() >> 8);
        }

        for (j = 1; j + 3 <= size; j += 3 + input[j + 2]) {
            input[j + 1] = 0;
            input[j + 2] %= 64;
        }

        (void) LLVMFuzzerTestOneInput(input, size);
    }
}

#endif


#endif /* _FUZZ_H_INCLUDED_ */
