# make demo and make test do everything on a machine that has Python (3.10 or newer), git and make.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test bench install clean libaec exactness

# A virtual environment with the pinned set.  EXTRAS picks the package's extras; PIP_ARGS reaches pip, say with the index
# of a CPU build of torch.
EXTRAS ?= test
PIP_ARGS ?=
STAMP = $(VENV)/.installed-$(EXTRAS)

$(STAMP): pyproject.toml constraints.txt setup.py $(wildcard aecodec/*/*.c)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.$(if $(EXTRAS),[$(EXTRAS)])'
	touch $@

install: $(STAMP)

demo:
	$(MAKE) install EXTRAS=
	$(BIN)/python scripts/demo.py samples/astronaut.png demo-output

test: install
	$(BIN)/python -m pytest

# Beside cjxl, avifenc and cwebp, as far as they are installed (Debian: libjxl-tools, libavif-bin, webp).
bench:
	$(MAKE) install EXTRAS=
	$(BIN)/python benchmarks/bench.py

# The decoder without Python: a library and a program. libaec/CMakeLists.txt builds and installs them, too.
CFLAGS ?= -O3
LIBAEC = $(patsubst libaec/src/%.c,build/libaec/%.o,$(wildcard libaec/src/*.c))

libaec: build/libaec.so build/libaec.a build/aecdec

build/libaec/%.o: libaec/src/%.c $(wildcard libaec/*/*.h)
	@mkdir -p build/libaec
	$(CC) -std=c11 $(CFLAGS) -fPIC -fvisibility=hidden -Wall -Wextra -Ilibaec/include -c $< -o $@

build/libaec.a: $(LIBAEC)
	$(AR) rcs $@ $^

build/libaec.so: $(LIBAEC)
	$(CC) -shared $(LDFLAGS) $^ -o $@ -lm -lpthread

build/aecdec: libaec/tools/aecdec.c build/libaec.a
	$(CC) -std=c11 $(CFLAGS) -Wall -Wextra -Ilibaec/include $^ -o $@ $(LDFLAGS) -lm -lpthread

# The same pixels from every compiler, instruction set and emulated machine that is installed.
exactness:
	scripts/exactness.sh

clean:
	rm -rf $(VENV) build demo-output *.egg-info
