#!/usr/bin/env bash
#
# Builds the client for JavaScript, a package of npm, in $OUT/js: the scripts of
# src/client/js, and libatls without libcurl as WebAssembly, with OpenSSL.
# Installs emscripten if it is missing, and downloads the source of Debian's
# OpenSSL.
#
#     OUT     directory; default: build
#     JOBS    of the compilation of OpenSSL; default: 1

set -eu
cd "$(dirname "$0")/.."

out=$(mkdir -p "${OUT:-build}" && cd "${OUT:-build}" && pwd)
openssl=$out/openssl-js
js=$out/js

command -v emcc >/dev/null || tools/deps.sh emscripten

# the Makefile's, for the machine's own compiler

unset CC CFLAGS LDFLAGS


# Only what TLS 1.2 and 1.3 of libatls need.  There is no system to get random
# numbers from: see src/client/js/seed.c.

without=(
    asm threads engine dso shared sock tests ui-console afalgeng async
    autoload-config aria bf blake2 camellia cast cmp cms comp ct des dsa dtls
    ec2m gost idea legacy md4 mdc2 ocsp psk rc2 rc4 rfc3779 rmd160 scrypt seed
    siphash siv sm2 sm3 sm4 srp srtp ssl3 tls1 tls1_1 ts whirlpool
    weak-ssl-ciphers
)

compile_openssl() {
    local source
    source=$(tools/debian-source.sh openssl)

    rm -rf "$openssl"
    cp -r "$source" "$openssl"

    ( cd "$openssl"
      emconfigure perl ./Configure linux-generic32 -Oz "${without[@]/#/no-}" \
          --prefix=/ --cross-compile-prefix=
      emmake make -j "${JOBS:-1}" build_generated libcrypto.a libssl.a ) \
        >"$out/openssl-js.log" 2>&1 || {
        tail -n 20 "$out/openssl-js.log" >&2
        rm -f "$openssl/libssl.a"
        exit 1
    }
}


# The inner half of libatls: what neither sends nor has a store.

library=( buf cert clock datagrams debug error fault hex http pin request
          response resume tls tls_ctx tls_error tls_verify )

sources=( src/client/js/*.c "${library[@]/#/src/client/lib/}" )

compile() {
    emcc -Oz -std=c99 -D_GNU_SOURCE -Wall -Wextra -Werror \
        -Isrc/client/lib -I"$openssl/include" -include src/client/js/without.h \
        "${sources[@]}" "$openssl/libssl.a" "$openssl/libcrypto.a" \
        -s STANDALONE_WASM=1 --no-entry -s ERROR_ON_UNDEFINED_SYMBOLS=0 \
        -s WARN_ON_UNDEFINED_SYMBOLS=0 -s ALLOW_MEMORY_GROWTH=1 \
        -s INITIAL_MEMORY=4194304 -s TOTAL_STACK=262144 \
        -o "$js/atls.wasm"
}


for ((i = 0; i < ${#sources[@]}; i++)); do
    sources[i]=${sources[i]%.c}.c
done

mkdir -p "$js"

[ -f "$openssl/libssl.a" ] || {
    echo 'js: compiling OpenSSL, which takes minutes'
    compile_openssl
}

newer=$(find src/client/js src/client/lib tools/js.sh -newer "$js/atls.wasm" \
            -name '*.[chs]*' 2>/dev/null | head -n 1 || :)

if [ ! -f "$js/atls.wasm" ] || [ -n "$newer" ]; then
    compile
fi

install -m 644 src/client/js/*.js src/client/js/*.ts src/client/js/package.json \
    src/client/js/README.md LICENSE "$js"
install -m 644 "$openssl/LICENSE.txt" "$js/LICENSE.openssl"

echo "js: $js, $(wc -c <"$js/atls.wasm") bytes of WebAssembly," \
     "$(gzip -9c "$js/atls.wasm" | wc -c) compressed"
