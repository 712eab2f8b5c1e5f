# make demo and make test do everything on a machine that has Python (3.10 or newer), git and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

# A virtual environment with the pinned set.  EXTRAS picks the package's extras; PIP_ARGS reaches pip, say with the index
# of a CPU build of torch.
EXTRAS ?= test,lint
PIP_ARGS ?=
STAMP = $(VENV)/.installed-$(EXTRAS)

.PHONY: help install demo test test-fast test-scale test-browser lint format bench libaec gdk-pixbuf qt gimp wasm exactness \
	fuzz-libaec fuzz-gdk-pixbuf dist clean

help:  ## list all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard aecodec/*/*.[ch] libaec/*/*.[ch])
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.$(if $(EXTRAS),[$(EXTRAS)])'
	touch $@

install: $(STAMP)  ## make .venv, with the package and everything that is tested together

demo:  ## encode and decode a photograph, compare it with JPEG
	$(MAKE) install EXTRAS=
	$(BIN)/python scripts/demo.py samples/astronaut.png demo-output

# A worker for each core, but each takes 1 GB; what is left to do is shared out anew when one has nothing more to do.
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test: install  ## run the whole suite
	$(PYTEST)

test-scale: install  ## run the tests that start servers and clusters on loopback
	AECODEC_SCALE_PICTURES=2000 $(BIN)/python -m pytest tests/stores tests/executors \
		tests/cli/test_stores.py tests/cli/test_s3.py tests/cli/test_cluster.py

test-fast: install  ## run the tests that are not marked slow
	$(PYTEST) -m "not slow"

lint: install  ## check style, types, and which module may import which; change nothing
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest tests/test_layers.py

format: install  ## sort imports and format the code
	$(BIN)/python -m ruff check --select I --fix
	$(BIN)/python -m ruff format

# As far as cjxl, avifenc and cwebp are installed (Debian: libjxl-tools, libavif-bin, webp).
bench:  ## measure against cjxl, avifenc and cwebp
	$(MAKE) install EXTRAS=
	$(BIN)/python benchmarks/bench.py

# libaec/CMakeLists.txt builds and installs the same.
CFLAGS ?= -O3
LIBAEC = $(patsubst libaec/src/%.c,build/libaec/%.o,$(wildcard libaec/src/*.c))

libaec: build/libaec.so build/libaec.a build/aecdec build/aecthumb  ## build the decoder in C, a library and programs

build/libaec/%.o: libaec/src/%.c $(wildcard libaec/*/*.h)
	@mkdir -p build/libaec
	$(CC) -std=c11 $(CFLAGS) -ffp-contract=off -fPIC -fvisibility=hidden -Wall -Wextra -Ilibaec/include -c $< -o $@

build/libaec.a: $(LIBAEC)
	$(AR) rcs $@ $^

build/libaec.so: $(LIBAEC)
	$(CC) -shared $(LDFLAGS) $^ -o $@ -lm -lpthread

build/aecdec: libaec/tools/aecdec.c build/libaec.a
	$(CC) -std=c11 $(CFLAGS) -Wall -Wextra -Ilibaec/include $^ -o $@ $(LDFLAGS) -lm -lpthread

build/aecthumb: libaec/tools/aecthumb.c libaec/tools/png.c libaec/tools/png_filter.c build/libaec.a
	$(CC) -std=c11 $(CFLAGS) -Wall -Wextra -Ilibaec/include $^ -o $@ $(LDFLAGS) -lm -lpthread

# A loader for GNOME's and GTK's programs (Debian: libgdk-pixbuf-2.0-dev); docs/viewers.md says where it goes.
gdk-pixbuf: build/libpixbufloader-aec.so  ## build the loader for gdk-pixbuf

build/libpixbufloader-aec.so: libaec/plugins/pixbuf_aec.c libaec/plugins/weights_path.h build/libaec.a
	$(CC) -std=c11 $(CFLAGS) -fPIC -shared -fvisibility=hidden -Wall -Wextra -Ilibaec/include \
		$$(pkg-config --cflags gdk-pixbuf-2.0 gmodule-2.0) $(filter %.c %.a,$^) -o $@ $(LDFLAGS) \
		$$(pkg-config --libs gdk-pixbuf-2.0 gmodule-2.0) -lm -lpthread

# A plugin for programs with Qt 5 (Debian: qtbase5-dev).
qt: build/libqaec.so  ## build the image plugin for Qt 5

build/libqaec.so: libaec/plugins/qt_aec.cpp libaec/plugins/qt_aec.json libaec/plugins/weights_path.h build/libaec.a
	$$(pkg-config --variable=host_bins Qt5Core)/moc $$(pkg-config --cflags Qt5Gui) $< -o build/qt_aec.moc
	$(CXX) -std=c++17 $(CFLAGS) -fPIC -shared -fvisibility=hidden -Wall -Wextra -Ilibaec/include -Ibuild -DQT_PLUGIN \
		$$(pkg-config --cflags Qt5Gui) $(filter %.cpp %.a,$^) -o $@ $(LDFLAGS) $$(pkg-config --libs Qt5Gui) -lm -lpthread

# A plug-in for GIMP 2.10 (Debian: libgimp2.0-dev).
gimp: build/file-aec  ## build the plug-in for GIMP 2.10

build/file-aec: libaec/plugins/gimp_aec.c libaec/plugins/weights_path.h build/libaec.a
	$(CC) -std=c11 $(CFLAGS) -Wall -Wextra -Wno-deprecated-declarations -Ilibaec/include \
		$$(pkg-config --cflags gimpui-2.0) $(filter %.c %.a,$^) -o $@ $(LDFLAGS) $$(pkg-config --libs gimpui-2.0) -lm -lpthread

# The decoder for browsers (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32).  It is committed, since who installs
# from source has no such compiler; a note in it lets a test see whether it is of these sources.
WASM_CC ?= clang
WASM = aecodec/view/module/aecodec.wasm
WASM_SOURCES = $(sort $(wildcard libaec/src/*.c libaec/wasm/*.c))

wasm:  ## build the decoder for browsers, aecodec/view/module/aecodec.wasm
	$(WASM_CC) --target=wasm32-wasi -msimd128 -std=c11 -O3 -ffp-contract=off -fno-builtin-snprintf -fvisibility=hidden \
		-Wall -Wextra -Ilibaec/include -Ilibaec/src -mexec-model=reactor -nostartfiles -Wl,--no-entry -Wl,--strip-all \
		-Wl,-z,stack-size=1048576 -Wl,--stack-first $(WASM_SOURCES) -o $(WASM)
	$(PYTHON) scripts/wasm_digest.py $(WASM) "$$($(WASM_CC) -dumpversion)"

test-browser: install  ## test the decoder for browsers and the pages, in node and Chromium
	$(BIN)/python -m pytest tests/view

exactness:  ## compare libaec's pixels over compilers, kernels and emulated machines
	PYTHON="$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))" scripts/exactness.sh

# Seeds are the conformance streams; new inputs and findings stay in build/fuzz.
FUZZ_SECONDS ?= 600
fuzz-libaec:  ## fuzz the decoder in C with libFuzzer (clang), for FUZZ_SECONDS
	@mkdir -p build/fuzz/corpus
	cp tests/conformance/*.aec build/fuzz/corpus
	clang -std=c11 -O2 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -ffp-contract=off \
		-Ilibaec/include -Ilibaec/src libaec/src/*.c fuzz/decode.c -o build/fuzz/decode -lm -lpthread
	AEC_WEIGHTS=aecodec/weights/photo/model.safetensors build/fuzz/decode -max_total_time=$(FUZZ_SECONDS) -timeout=100 \
		-max_len=16384 -artifact_prefix=build/fuzz/ build/fuzz/corpus

# The loader, and a program that damages COUNT copies of each stream and opens them; a sanitizer's library comes before all.
COUNT ?= 300
SANITIZED = -std=c11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -ffp-contract=off -Ilibaec/include \
	-Ilibaec/src
GDK_PIXBUF_QUERY = $$(command -v gdk-pixbuf-query-loaders \
	|| echo $$(pkg-config --variable=gdk_pixbuf_moduledir gdk-pixbuf-2.0)/../../gdk-pixbuf-query-loaders)
FUZZ_HOME = HOME=$(CURDIR)/build/fuzz/home XDG_DATA_HOME=$(CURDIR)/build/fuzz/home/data
fuzz-gdk-pixbuf:  ## open damaged files by gdk-pixbuf, with ASan and UBSan
	@mkdir -p build/fuzz/home
	$(CC) $(SANITIZED) -fPIC -shared -fvisibility=hidden $$(pkg-config --cflags gdk-pixbuf-2.0 gmodule-2.0) \
		libaec/plugins/pixbuf_aec.c libaec/src/*.c -o build/fuzz/libpixbufloader-aec.so \
		$$(pkg-config --libs gdk-pixbuf-2.0 gmodule-2.0) -lm -lpthread
	$(CC) $(SANITIZED) $$(pkg-config --cflags gdk-pixbuf-2.0) fuzz/pixbuf.c libaec/src/checksum.c -o build/fuzz/pixbuf \
		$$(pkg-config --libs gdk-pixbuf-2.0)
	LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 $(GDK_PIXBUF_QUERY) \
		$(CURDIR)/build/fuzz/libpixbufloader-aec.so > build/fuzz/loaders.cache
	$(FUZZ_HOME) $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m aecodec desktop install
	$(FUZZ_HOME) GDK_PIXBUF_MODULE_FILE=build/fuzz/loaders.cache build/fuzz/pixbuf $(COUNT) tests/conformance/*.aec

dist:  ## build sdist and wheel, check what is in them, try the wheel in a clean environment
	$(PYTHON) scripts/make_dist.py

clean:  ## remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist demo-output *.egg-info
