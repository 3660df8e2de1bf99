
/*
 * The seed of OpenSSL's random numbers, see seed.h: a provider with a RAND that
 * is the source of the others, as "SEED-SRC" of the default provider.
 * WebAssembly has no system calls and no devices, so there is no other source
 * by mistake.
 */


#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>

#include "seed.h"


#define JS_SEED_MOST    128                 /* bytes in a call */


typedef struct {
    int                  state;
} js_seed_t;


/* Fills the buffer by crypto.getRandomValues().  Returns 1, or 0 on failure. */

__attribute__((import_module("env"), import_name("js_random")))
int js_random(unsigned char *buf, size_t n);

static OSSL_FUNC_rand_newctx_fn              js_seed_create;
static OSSL_FUNC_rand_freectx_fn             js_seed_free;
static OSSL_FUNC_rand_instantiate_fn         js_seed_instantiate;
static OSSL_FUNC_rand_uninstantiate_fn       js_seed_uninstantiate;
static OSSL_FUNC_rand_generate_fn            js_seed_generate;
static OSSL_FUNC_rand_get_seed_fn            js_seed_get;
static OSSL_FUNC_rand_clear_seed_fn          js_seed_clear;
static OSSL_FUNC_rand_enable_locking_fn      js_seed_locking;
static OSSL_FUNC_rand_gettable_ctx_params_fn js_seed_gettable;
static OSSL_FUNC_rand_get_ctx_params_fn      js_seed_params;
static OSSL_FUNC_provider_query_operation_fn js_seed_query;
static OSSL_provider_init_fn                 js_seed_init;


static const OSSL_DISPATCH  js_seed_functions[] = {
    { OSSL_FUNC_RAND_NEWCTX, (void (*)(void)) js_seed_create },
    { OSSL_FUNC_RAND_FREECTX, (void (*)(void)) js_seed_free },
    { OSSL_FUNC_RAND_INSTANTIATE, (void (*)(void)) js_seed_instantiate },
    { OSSL_FUNC_RAND_UNINSTANTIATE, (void (*)(void)) js_seed_uninstantiate },
    { OSSL_FUNC_RAND_GENERATE, (void (*)(void)) js_seed_generate },
    { OSSL_FUNC_RAND_GET_SEED, (void (*)(void)) js_seed_get },
    { OSSL_FUNC_RAND_CLEAR_SEED, (void (*)(void)) js_seed_clear },
    { OSSL_FUNC_RAND_ENABLE_LOCKING, (void (*)(void)) js_seed_locking },
    { OSSL_FUNC_RAND_GETTABLE_CTX_PARAMS, (void (*)(void)) js_seed_gettable },
    { OSSL_FUNC_RAND_GET_CTX_PARAMS, (void (*)(void)) js_seed_params },
    { 0, NULL }
};


static const OSSL_ALGORITHM  js_seed_algorithms[] = {
    { "JS-SEED", "provider=js", js_seed_functions, "crypto.getRandomValues()" },
    { NULL, NULL, NULL, NULL }
};


static const OSSL_DISPATCH  js_seed_provider[] = {
    { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void)) js_seed_query },
    { 0, NULL }
};


int
js_seed(void)
{
    unsigned char  byte;

    static int  done;

    if (!done) {
        done = OSSL_PROVIDER_add_builtin(NULL, "js", js_seed_init) == 1
               && OSSL_PROVIDER_load(NULL, "js") != NULL
               && OSSL_PROVIDER_load(NULL, "default") != NULL
               && RAND_set_seed_source_type(NULL, "JS-SEED", "provider=js")
                  == 1;
    }

    return done && RAND_priv_bytes(&byte, 1) == 1 && RAND_bytes(&byte, 1) == 1
           ? 0 : -1;
}


static int
js_seed_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **context)
{
    (void) in;

    *out = js_seed_provider;
    *context = (void *) handle;

    return 1;
}


static const OSSL_ALGORITHM *
js_seed_query(void *context, int operation, int *no_cache)
{
    (void) context;

    *no_cache = 0;

    return operation == OSSL_OP_RAND ? js_seed_algorithms : NULL;
}


static void *
js_seed_create(void *context, void *parent,
    const OSSL_DISPATCH *parent_functions)
{
    js_seed_t  *seed;

    (void) context;
    (void) parent;
    (void) parent_functions;

    seed = OPENSSL_zalloc(sizeof(js_seed_t));

    if (seed) {
        seed->state = EVP_RAND_STATE_UNINITIALISED;
    }

    return seed;
}


static void
js_seed_free(void *data)
{
    OPENSSL_free(data);
}


static int
js_seed_instantiate(void *data, unsigned strength, int resistance,
    const unsigned char *text, size_t n, const OSSL_PARAM params[])
{
    js_seed_t  *seed = data;

    (void) strength;
    (void) resistance;
    (void) text;
    (void) n;
    (void) params;

    seed->state = EVP_RAND_STATE_READY;

    return 1;
}


static int
js_seed_uninstantiate(void *data)
{
    js_seed_t  *seed = data;

    seed->state = EVP_RAND_STATE_UNINITIALISED;

    return 1;
}


static int
js_seed_generate(void *data, unsigned char *out, size_t n, unsigned strength,
    int resistance, const unsigned char *input, size_t ninput)
{
    js_seed_t  *seed = data;

    (void) strength;
    (void) resistance;
    (void) input;
    (void) ninput;

    return seed->state == EVP_RAND_STATE_READY && js_random(out, n);
}


static size_t
js_seed_get(void *data, unsigned char **out, int entropy, size_t min,
    size_t max, int resistance, const unsigned char *input, size_t ninput)
{
    size_t          n;
    unsigned char  *p;

    n = entropy > 0 ? ((size_t) entropy + 7) / 8 : 0;

    if (n < min) {
        n = min;
    }

    p = n <= max ? OPENSSL_malloc(n) : NULL;
    if (p == NULL) {
        return 0;
    }

    if (!js_seed_generate(data, p, n, 0, resistance, input, ninput)) {
        OPENSSL_free(p);
        return 0;
    }

    *out = p;

    return n;
}


static void
js_seed_clear(void *data, unsigned char *out, size_t n)
{
    (void) data;

    OPENSSL_clear_free(out, n);
}


/* There is one thread. */

static int
js_seed_locking(void *data)
{
    (void) data;

    return 1;
}


static const OSSL_PARAM *
js_seed_gettable(void *data, void *context)
{
    static const OSSL_PARAM  params[] = {
        OSSL_PARAM_int(OSSL_RAND_PARAM_STATE, NULL),
        OSSL_PARAM_uint(OSSL_RAND_PARAM_STRENGTH, NULL),
        OSSL_PARAM_size_t(OSSL_RAND_PARAM_MAX_REQUEST, NULL),
        OSSL_PARAM_END
    };

    (void) data;
    (void) context;

    return params;
}


static int
js_seed_params(void *data, OSSL_PARAM params[])
{
    js_seed_t  *seed = data;

    OSSL_PARAM  *p;

    p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STATE);
    if (p && OSSL_PARAM_set_int(p, seed->state) != 1) {
        return 0;
    }

    p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STRENGTH);
    if (p && OSSL_PARAM_set_uint(p, 256) != 1) {
        return 0;
    }

    p = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_MAX_REQUEST);

    return p == NULL || OSSL_PARAM_set_size_t(p, JS_SEED_MOST) == 1;
}
