
/*
 * The seed of OpenSSL's random numbers: those of the JavaScript engine, which
 * come from the system.
 */


#ifndef ATLS_CLIENT_JS_SEED_H_INCLUDED
#define ATLS_CLIENT_JS_SEED_H_INCLUDED


/*
 * Must be called before anything that needs random numbers.  Returns 0, or -1
 * with an error in OpenSSL's queue.
 */

int js_seed(void);


#endif /* ATLS_CLIENT_JS_SEED_H_INCLUDED */
