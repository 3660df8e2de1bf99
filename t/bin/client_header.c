
/*
 * Includes only the header of libatls, which is sufficient.
 */


#include <atls.h>


int
main(void)
{
    atls_client_t  *client;

    if (atls_client_create(&client, "https://localhost") != ATLS_OK) {
        return 1;
    }

    atls_close(client);
    atls_client_free(client);
    atls_client_free(NULL);

    return atls_strerror(ATLS_ERROR_SESSION_LOST) == NULL;
}
