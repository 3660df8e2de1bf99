# The module, its tests and what goes with them.
#
#     make            build/ngx_http_atls_module.so, for the installed nginx
#     make NGINX_SRC=dir          for, and with, the nginx of a source tree
#     make CC=clang CFLAGS=-O0
#     make test TESTS=t/handshake.t           some tests only
#
# Parallel: make test JOBS=4.  Short: make bench QUICK=1.

BUILD       ?= build
JOBS        ?= $(shell nproc)
TESTS       ?= t

CFLAGS      ?= -g -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wformat \
               -Werror=format-security
LDFLAGS     ?= -Wl,-z,relro -Wl,-z,now

SANITIZE    := -O1 -g -fno-omit-frame-pointer -fsanitize=address

PROVE       := prove -I t/lib -j $(JOBS) -r $(TESTS)
VALGRIND    := valgrind --quiet --trace-children=yes --leak-check=full \
               --errors-for-leak-kinds=definite --show-leak-kinds=definite \
               --suppressions=$(CURDIR)/t/valgrind.supp \
               --log-file=%d/valgrind.%p

# what the tests run: the module of BUILD and the nginx that it was built for

TESTED      = TEST_NGINX_BINARY=$$(cat $(BUILD)/nginx-binary) \
              TEST_NGINX_MODULE=$(abspath $(BUILD))/ngx_http_atls_module.so

export CC CFLAGS LDFLAGS NGINX_SRC NGINX_OPTIONS


.PHONY: all static install deps test demo bench clean
.PHONY: test-asan test-valgrind test-matrix

all:
	@OUT=$(BUILD) tools/build.sh

# nginx with the module inside

static:
	@OUT=$(BUILD)/static STATIC=1 \
	    NGINX_SRC=$${NGINX_SRC:-$$(tools/nginx-source.sh)} tools/build.sh

install: all
	@OUT=$(BUILD) tools/install.sh

# says what it installs; nothing, if all is there

deps:
	@tools/deps.sh

test: deps
	@$(MAKE) --no-print-directory all
	$(TESTED) $(PROVE)

# UBSan is for the module's files only: nginx itself does arithmetic on null
# pointers and unaligned reads that harm nobody.  A dynamic module repeats some
# globals of nginx by design, hence detect_odr_violation.

test-asan: deps
	@OUT=$(BUILD)/asan NGINX_SRC=$${NGINX_SRC:-$$(tools/nginx-source.sh)} \
	    CFLAGS='$(SANITIZE)' LDFLAGS='-fsanitize=address,undefined' \
	    MODULE_CFLAGS='-fsanitize=undefined -fno-sanitize-recover=undefined' \
	    tools/build.sh
	TEST_NGINX_BINARY=$$(cat $(BUILD)/asan/nginx-binary) \
	TEST_NGINX_MODULE=$(abspath $(BUILD))/asan/ngx_http_atls_module.so \
	ASAN_OPTIONS=detect_odr_violation=0:detect_stack_use_after_return=1 \
	LSAN_OPTIONS=suppressions=$(CURDIR)/t/lsan.supp:print_suppressions=0 \
	TEST_NGINX_SLOW=3 $(PROVE)

test-valgrind: deps
	@tools/deps.sh valgrind
	@$(MAKE) --no-print-directory all
	$(TESTED) TEST_NGINX_WRAPPER='$(VALGRIND)' TEST_NGINX_SLOW=10 $(PROVE)

test-matrix:
	@tools/deps.sh debootstrap
	tools/matrix.sh $(SUITES)

demo: deps
	@$(MAKE) --no-print-directory all
	@perl -I t/lib tools/demo.pl

# the table of sessions is measured in a program that is linked with all of an
# nginx

bench: deps
	@$(MAKE) --no-print-directory all static
	@TREE=$(BUILD)/static/nginx OUT=$(BUILD)/bench/table t/bench/build.sh
	@$(TESTED) BUILD=$(abspath $(BUILD)) QUICK=$(QUICK) \
	    perl -I t/lib t/bench/run.pl

clean:
	rm -rf $(BUILD)
