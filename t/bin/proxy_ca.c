
/*
 * For LD_PRELOAD: the CA certificates in the file PROXY_CA are those for
 * proxies of libcurl, for which the command has no option.
 */


#include <dlfcn.h>
#include <stdlib.h>

#include <curl/curl.h>


CURLcode
curl_easy_perform(CURL *curl)
{
    CURLcode  (*perform)(CURL *curl);

    curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO, getenv("PROXY_CA"));
    *(void **) &perform = dlsym(RTLD_NEXT, "curl_easy_perform");

    return perform(curl);
}
