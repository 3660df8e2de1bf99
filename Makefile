# Builds, tests and installs the module and the client.
#
# Lines that begin with "#:" are the output of "make help".

BUILD       ?= build

# most tests wait most of their time
JOBS        ?= $(shell expr 4 \* $$(nproc))

# files that mostly wait run first, not alone at the end
WAITING     := t/client-evil.t t/via-coap-loss.t
TESTS       ?= $(WAITING) $(filter-out $(WAITING),$(wildcard t/*.t))

CFLAGS      ?= -g -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -Wformat \
               -Werror=format-security
LDFLAGS     ?= -Wl,-z,relro -Wl,-z,now

# the gateway, and "--via coap://", if there is libcoap

COAP         = libcoap-3-openssl
GATEWAY     := $(shell pkg-config --exists $(COAP) 2>/dev/null \
                       && echo gateway)
COAP_CFLAGS  = $(if $(GATEWAY),-DATLS_COAP=1 $(shell pkg-config --cflags \
                                                 $(COAP)))

# libatls: the atls command uses the .a; other programs may use the .so

PREFIX      ?= /usr/local
LIBDIR      ?= $(PREFIX)/lib
MANDIR      ?= $(PREFIX)/share/man
BASHDIR     ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR      ?= $(PREFIX)/share/zsh/site-functions
FISHDIR     ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR     ?= $(PREFIX)/lib/systemd/system

LIB_SRC     := $(wildcard src/client/lib/*.c)
LIB_OBJ      = $(LIB_SRC:src/client/%.c=$(BUILD)/client/%.o)
LIB_SO       = $(BUILD)/libatls.so.0
LIB_PACKAGES = libcurl libssl libcrypto libcjson
LIB_VERSION  = $(shell tools/version.sh)
LIB_CFLAGS   = -std=c99 -D_GNU_SOURCE -Wall -Wextra -Werror -fPIC \
               -fvisibility=hidden \
               $(shell pkg-config --cflags $(LIB_PACKAGES) 2>/dev/null) \
               $(COAP_CFLAGS)

# the command, linked with the static library

CMD_PACKAGES = $(LIB_PACKAGES) zlib
CMD_SRC     := $(filter-out $(if $(GATEWAY),,src/client/cmd/coap/%), \
                   $(wildcard src/client/cmd/*.c src/client/cmd/*/*.c))
CMD_OBJ      = $(CMD_SRC:src/client/%.c=$(BUILD)/client/%.o)

# the program of "atls gateway"

GW_SRC      := $(wildcard src/client/gateway/*.c)
GW_OBJ       = $(GW_SRC:src/client/%.c=$(BUILD)/client/%.o)
GW_CMD_OBJ   = $(filter $(BUILD)/client/cmd/base/% \
                        $(BUILD)/client/cmd/coap/% \
                        $(BUILD)/client/cmd/options/% \
                        $(BUILD)/client/cmd/local/listen.o \
                        $(BUILD)/client/cmd/local/stop.o,$(CMD_OBJ))

SANITIZE    := -O1 -g -fno-omit-frame-pointer -fsanitize=address

PROVE       := prove -I t/lib -j $(JOBS) -r $(TESTS)
TIME        ?= 60
SEED        ?= $(shell date +%s)
CHAOS        = CHAOS_TIME=$(TIME) CHAOS_SEED=$(SEED) CHAOS_VERBOSE=1 \
               prove -v -I t/lib t/chaos.t

VALGRIND    := valgrind --quiet --trace-children=yes --leak-check=full \
               --errors-for-leak-kinds=definite --show-leak-kinds=definite \
               --suppressions=$(CURDIR)/t/valgrind.supp \
               --log-file=%d/valgrind.%p

# for tests: the module in BUILD, and the nginx binary that it was built for

TESTED      = TEST_NGINX_BINARY=$$(cat $(BUILD)/nginx-binary) \
              TEST_NGINX_MODULE=$(abspath $(BUILD))/ngx_http_atls_module.so

export CC CFLAGS LDFLAGS NGINX_SRC NGINX_OPTIONS NGINX_BINARY DESTDIR


.PHONY: all help module client gateway lib js static completion
.PHONY: install install-module install-client install-command
.PHONY: install-completion install-unit install-gateway uninstall
.PHONY: check deps test demo
.PHONY: bench clean dist deb test-packages test-readme test-newcomer
.PHONY: asan chaos chaos-asan test-asan test-valgrind test-matrix

#: all                 the module, the client and, with libcoap, the gateway
all: module client $(GATEWAY)

#: help                this list
help:
	@sed -n 's/^#: *//p' Makefile

#: module              the module: build/ngx_http_atls_module.so
module:
	@OUT=$(BUILD) tools/build.sh

#: client              the command: build/atls
client: $(BUILD)/atls

#: gateway             the program of "atls gateway": build/atls-gateway
gateway: $(BUILD)/atls-gateway

# nginx with the module compiled in

#: static              nginx with the module linked statically, in build/static
static:
	@OUT=$(BUILD)/static STATIC=1 \
	    NGINX_SRC=$${NGINX_SRC:-$$(tools/debian-source.sh nginx)} \
	    tools/build.sh

#: lib                 the client library: build/libatls.a, build/libatls.so.0
lib: $(BUILD)/libatls.a $(BUILD)/libatls.so $(BUILD)/atls.pc $(BUILD)/libatls.3

$(BUILD)/libatls.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(LIB_SO): $(LIB_OBJ)
	$(CC) $(CFLAGS) -shared -Wl,-soname,libatls.so.0 -Wl,-z,defs $(LDFLAGS) \
	    -o $@ $^ $$(pkg-config --libs $(LIB_PACKAGES))

$(BUILD)/libatls.so: $(LIB_SO)
	@ln -sf libatls.so.0 $@

$(BUILD)/client/%.o: src/client/%.c Makefile $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LIB_CFLAGS) -MMD -MP -c -o $@ $<

# not in "all", as OpenSSL is compiled, too: minutes

#: js                  the client for JavaScript, a package of npm: build/js
js:
	@OUT=$(BUILD) JOBS=$(JOBS) tools/js.sh

# file times do not show changed flags or a copied tree

FLAGS        = $(CURDIR) $(CC) $(CFLAGS) $(LIB_CFLAGS) $(LDFLAGS)

CLIENT_NEEDS = echo "The client requires pkg-config, $(CMD_PACKAGES); on" \
               "Debian: apt-get install pkg-config libcurl4-openssl-dev" \
               "libssl-dev libcjson-dev zlib1g-dev.  The module does not:" \
               "make module."

$(BUILD)/flags: FORCE
	@pkg-config --exists $(CMD_PACKAGES) || { $(CLIENT_NEEDS) >&2; exit 1; }
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

FORCE:

$(BUILD)/atls.pc: tools/atls.pc.in src/client/lib/atls.h Makefile
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	    -e 's|@VERSION@|$(LIB_VERSION)|' $< >$@

$(BUILD)/libatls.3: src/client/lib/atls.h debian/changelog \
                    tools/libatls-manual.pl
	@mkdir -p $(@D)
	@tools/libatls-manual.pl src/client/lib/atls.h debian/changelog >$@.new
	@mv $@.new $@

$(BUILD)/atls: $(CMD_OBJ) $(BUILD)/libatls.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ \
	    $$(pkg-config --libs $(if $(GATEWAY),$(COAP)) $(CMD_PACKAGES))

$(BUILD)/gateway-needs:
	@pkg-config --exists $(COAP) || { echo "The gateway requires $(COAP); on" \
	    "Debian: apt-get install libcoap3-dev." >&2; exit 1; }

$(GW_OBJ): | $(BUILD)/gateway-needs

$(BUILD)/atls-gateway: $(GW_OBJ) $(GW_CMD_OBJ) $(BUILD)/libatls.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ \
	    $$(pkg-config --libs $(COAP) $(CMD_PACKAGES))

# PREFIX may have changed

UNIT         = atls-forward@.service
GW_UNIT      = atls-gateway.service

$(BUILD)/$(UNIT) $(BUILD)/$(GW_UNIT): $(BUILD)/%: tools/%.in FORCE
	@mkdir -p $(@D)
	@sed 's|@PREFIX@|$(PREFIX)|' $< >$@

# completions of the options in its --help

COMPLETIONS  = $(addprefix $(BUILD)/completion/,bash zsh fish)

#: completion          the completions of the command for shells
completion: $(COMPLETIONS)

$(COMPLETIONS): $(BUILD)/completion/%: $(BUILD)/atls \
                tools/completion/generate.pl tools/completion/%.in
	@mkdir -p $(@D)
	@tools/completion/generate.pl $* $(abspath $<) >$@.new
	@mv $@.new $@

-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(GW_OBJ:.o=.d)

# the linker's cache is that of this machine

LDCONFIG     = [ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] \
               || PATH="$$PATH:/sbin:/usr/sbin" ldconfig

#: install             everything, below DESTDIR if it is set
install: install-client install-command install-completion install-unit \
         $(GATEWAY:%=install-%) install-module

#: install-module      the module, for the installed nginx or NGINX_BINARY=file
install-module: module
	@OUT=$(BUILD) tools/install.sh install

# the .pc file is created again, since PREFIX may have changed

#: install-client      the client library
install-client: lib
	@rm -f $(BUILD)/atls.pc
	@$(MAKE) --no-print-directory $(BUILD)/atls.pc
	@install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig \
	    $(DESTDIR)$(MANDIR)/man3
	@install -m 644 src/client/lib/atls.h $(DESTDIR)$(PREFIX)/include
	@install -m 644 $(BUILD)/libatls.a $(DESTDIR)$(LIBDIR)
	@install -m 755 $(LIB_SO) $(DESTDIR)$(LIBDIR)
	@ln -sf libatls.so.0 $(DESTDIR)$(LIBDIR)/libatls.so
	@install -m 644 $(BUILD)/atls.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	@install -m 644 $(BUILD)/libatls.3 $(DESTDIR)$(MANDIR)/man3
	@echo "installed $(DESTDIR)$(LIBDIR)/libatls.so.0"
	@$(LDCONFIG)

#: install-command     the command and its manual page
install-command: client
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(MANDIR)/man1
	@install -m 755 $(BUILD)/atls $(DESTDIR)$(PREFIX)/bin
	@install -m 644 docs/atls.1 $(DESTDIR)$(MANDIR)/man1
	@echo "installed $(DESTDIR)$(PREFIX)/bin/atls"

#: install-completion  the completions for shells
install-completion: completion
	@install -d $(addprefix $(DESTDIR),$(BASHDIR) $(ZSHDIR) $(FISHDIR))
	@install -m 644 $(BUILD)/completion/bash $(DESTDIR)$(BASHDIR)/atls
	@install -m 644 $(BUILD)/completion/zsh $(DESTDIR)$(ZSHDIR)/_atls
	@install -m 644 $(BUILD)/completion/fish $(DESTDIR)$(FISHDIR)/atls.fish

#: install-unit        the unit of "atls forward" for systemd
install-unit: $(BUILD)/$(UNIT)
	@install -d $(DESTDIR)$(UNITDIR)
	@install -m 644 $(BUILD)/$(UNIT) $(DESTDIR)$(UNITDIR)

#: install-gateway     the program of "atls gateway", and its unit
install-gateway: gateway $(BUILD)/$(GW_UNIT)
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(UNITDIR)
	@install -m 755 $(BUILD)/atls-gateway $(DESTDIR)$(PREFIX)/bin
	@install -m 644 $(BUILD)/$(GW_UNIT) $(DESTDIR)$(UNITDIR)

INSTALLED    = $(PREFIX)/include/atls.h $(LIBDIR)/libatls.a \
               $(LIBDIR)/libatls.so.0 $(LIBDIR)/libatls.so \
               $(LIBDIR)/pkgconfig/atls.pc $(MANDIR)/man3/libatls.3 \
               $(PREFIX)/bin/atls $(MANDIR)/man1/atls.1 \
               $(BASHDIR)/atls $(ZSHDIR)/_atls $(FISHDIR)/atls.fish \
               $(UNITDIR)/$(UNIT) $(PREFIX)/bin/atls-gateway \
               $(UNITDIR)/$(GW_UNIT)

#: uninstall           removes all that "make install" has installed
uninstall:
	@OUT=$(BUILD) tools/install.sh remove
	@rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@$(LDCONFIG)

#: deps                installs what is missing for building and testing
deps:
	@tools/deps.sh test

#: check               checks the structure of the sources
check: $(LIB_OBJ) $(CMD_OBJ) $(if $(GATEWAY),$(GW_OBJ))
	@OUT=$(BUILD) tools/build.sh >/dev/null
	@CLIENT_CC='$(CC) $(LIB_CFLAGS)' \
	    tools/check.pl -b $(BUILD)

#: test                all tests, or those of TESTS="t/handshake.t ..."
test: deps
	@$(MAKE) --no-print-directory all check
	@$(TESTED) $(PROVE)

# UBSan is used for the module only: nginx has harmless arithmetic on null
# pointers and unaligned reads.  A dynamic module has copies of some globals of
# nginx, therefore detect_odr_violation is off.

TESTED_ASAN = TEST_NGINX_BINARY=$$(cat $(BUILD)/asan/nginx-binary) \
	TEST_NGINX_MODULE=$(abspath $(BUILD))/asan/ngx_http_atls_module.so \
	ASAN_OPTIONS=detect_odr_violation=0:detect_stack_use_after_return=1 \
	LSAN_OPTIONS=suppressions=$(CURDIR)/t/lsan.supp:print_suppressions=0 \
	TEST_ASAN=1 TEST_NGINX_SLOW=3

#: asan                nginx and the module with AddressSanitizer
asan: deps
	@OUT=$(BUILD)/asan NGINX_SRC=$${NGINX_SRC:-$$(tools/debian-source.sh nginx)} \
	    CFLAGS='$(SANITIZE)' LDFLAGS='-fsanitize=address,undefined' \
	    MODULE_CFLAGS='-fsanitize=undefined -fno-sanitize-recover=undefined' \
	    tools/build.sh

#: test-asan           the tests with sanitizers
test-asan: asan
	@$(TESTED_ASAN) $(PROVE)

# random sessions and an adversary, with reloads and crashes of nginx: runs
# t/chaos.t for a longer time, each time with another seed

#: chaos               random sessions and an adversary, for TIME seconds
chaos: deps
	@$(MAKE) --no-print-directory all
	@$(TESTED) $(CHAOS)

#: chaos-asan          the same, with sanitizers
chaos-asan: asan
	@$(TESTED_ASAN) $(CHAOS)

#: test-valgrind       the tests under valgrind
test-valgrind: deps
	@tools/deps.sh valgrind
	@$(MAKE) --no-print-directory all
	@$(TESTED) TEST_NGINX_WRAPPER='$(VALGRIND)' TEST_VALGRIND=1 \
	    TEST_NGINX_SLOW=10 $(PROVE)

#: dist                the source archive, in build/dist
dist:
	@OUT=$(BUILD) tools/dist.sh

#: deb                 the Debian packages, in build/deb
deb:
	@OUT=$(BUILD) tools/deb.sh

#: test-matrix         the tests on releases of Debian, SUITES="trixie sid"
test-matrix:
	@tools/deps.sh debootstrap
	@TESTS='$(TESTS)' JOBS=$(JOBS) tools/matrix.sh $(SUITES)

# what users do, in new systems, in chroots

TEST_SYSTEM  = tools/deps.sh perl debootstrap iproute2 systemd-container \
               && tools/test-system.sh

#: test-packages       the packages on releases of Debian, SUITES="bookworm sid"
test-packages:
	@$(TEST_SYSTEM) packages $(SUITES)

#: test-readme         the commands of the README on releases of Debian
test-readme:
	@$(TEST_SYSTEM) readme $(SUITES)

#: test-newcomer       README, demo, packages, service: all in one new system
test-newcomer:
	@$(TEST_SYSTEM) newcomer $(SUITES)

#: demo                a request through a middlebox, and what each hop sees
demo:
	@tools/deps.sh demo
	@mkdir -p $(BUILD)
	@echo "demo: building the module and the client"
	@$(MAKE) -j $(JOBS) all >$(BUILD)/demo.log 2>&1 \
	    || { cat $(BUILD)/demo.log >&2; exit 1; }
	@perl -I t/lib tools/demo.pl $(BUILD)/atls

# benchmarks of the session table and of a reload with many sessions are linked
# with the object files of nginx

BENCH_LINKED := table fill
BENCH_SRC    := $(filter-out $(BENCH_LINKED:%=t/bench/%.c),\
                    $(wildcard t/bench/*.c))
BENCH         = $(BENCH_SRC:t/bench/%.c=$(BUILD)/bench/%)

#: bench               benchmarks; QUICK=1 for shorter ones
bench: deps
	@tools/deps.sh valgrind
	@$(MAKE) --no-print-directory all static $(BENCH)
	@for p in $(BENCH_LINKED); do \
	    TREE=$(BUILD)/static/nginx OUT=$(BUILD)/bench/$$p t/bench/build.sh \
	        || exit 1; \
	done
	@$(TESTED) BUILD=$(abspath $(BUILD)) QUICK=$(QUICK) \
	    perl -I t/lib t/bench/run.pl

$(BUILD)/bench/load: t/bench/message.h

$(BENCH): $(BUILD)/bench/%: t/bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_GNU_SOURCE $(CFLAGS) -Wall -Wextra -Werror $(LDFLAGS) \
	    -o $@ $< -lssl -lcrypto

#: clean               removes the build directory
clean:
	rm -rf $(BUILD)
