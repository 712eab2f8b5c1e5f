#!/bin/sh
# Decodes the conformance streams with libaec as every compiler and machine at hand builds and runs it, and prints the
# hashes of their pixels; the last line says whether they are all the same.  "make exactness" runs it.
#
# Variants: gcc and clang, -O0 and -O3, plain, SSE2, AVX2, AVX-VNNI and AVX-512-VNNI kernels, 1 and 4 threads; x86 and ARM
# as qemu-user emulates them, newer x86 as Bochs does (scripts/bochs.py says what it needs); WebAssembly in node; numpy and
# torch, where PYTHON (python3) has the package.
# STREAMS names other files than all conformance streams, ROWS a pattern of the rows that are wanted.

set -u
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources="$root/libaec/src/*.c $root/libaec/tools/aecdec.c"
python=${PYTHON:-python3}
streams=${STREAMS:-$(ls "$root"/tests/conformance/*.aec)}
status=0

build() { # compiler and flags: builds $work/aecdec, if it is not of these already
    [ "$*" != "${built:-}" ] || return 0
    built=$*
    # shellcheck disable=SC2086
    $1 -std=c11 $2 -I"$root/libaec/include" -I"$root/libaec/src" $sources -o "$work/aecdec" -lm -lpthread 2>"$work/log" ||
        { built= && echo "$1 $2: cannot be built" && return 1; }
}

row() { # name, compiler and flags, or none and a program, runner, options: the hash of all pictures
    # shellcheck disable=SC2254
    case $1 in ${ROWS:-*}) ;; *) return ;; esac
    program=$3
    if [ "$2" ]; then build "$2" "$3" && program=$work/aecdec || return; fi
    : >"$work/all"
    for stream in $streams; do
        case $(basename "$stream") in psnr-*) weights=photo-psnr ;; *) weights=photo ;; esac
        # shellcheck disable=SC2086
        $4 "$program" $5 -w "$root/aecodec/weights/$weights/model.safetensors" "$stream" - >"$work/picture" 2>"$work/log" ||
            { echo "$stream: not decoded" && cat "$work/log" && status=1; }
        sha256sum <"$work/picture" >>"$work/all"
    done
    hash=$(sha256sum <"$work/all" | cut -c1-16)
    [ -n "${first:-}" ] || first=$hash
    [ "$hash" = "$first" ] || status=1
    printf '%-52s %s%s\n' "$1" "$hash" "$([ "$hash" = "$first" ] || echo '  <- differs')"
}

for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for level in -O0 -O3 "-O2 -ffp-contract=fast"; do
        row "$compiler $level, plain" $compiler "$level" "" "-k plain -j 1"
        row "$compiler $level, SSE2 or NEON" $compiler "$level" "" "-k 128 -j 1"
        if grep -qs avx2 /proc/cpuinfo; then row "$compiler $level, AVX2" $compiler "$level" "" "-k avx2 -j 1"; fi
        if grep -qs avx_vnni /proc/cpuinfo; then
            row "$compiler $level, AVX-VNNI" $compiler "$level" "" "-k avxvnni -j 1"
        fi
        if grep -qs avx512_vnni /proc/cpuinfo; then
            row "$compiler $level, AVX-512-VNNI" $compiler "$level" "" "-k avx512 -j 1"
        fi
    done
    row "$compiler $level, 4 threads" $compiler "$level" "" "-j 4"
    if command -v qemu-x86_64 >/dev/null && [ "$(uname -m)" = x86_64 ]; then
        row "$compiler -O3, emulated Nehalem" $compiler "-O3 -static" "qemu-x86_64 -cpu Nehalem" "-j 1"
        row "$compiler -O3, emulated Haswell" $compiler "-O3 -static" "qemu-x86_64 -cpu Haswell" "-j 1"
    fi
    if [ "$(uname -m)" = x86_64 ] && "${BOCHS:-bochs}" --help cpu 2>&1 | grep -q arrow_lake; then # version 3.0 or newer
        run_on="$python $root/scripts/bochs.py"
        row "$compiler -O3, emulated Tiger Lake" $compiler "-O3 -static" "$run_on tigerlake" "-j 1" # AVX-512-VNNI
        row "$compiler -O3, emulated Arrow Lake" $compiler "-O3 -static" "$run_on arrow_lake" "-j 1" # AVX-VNNI
    fi
done
cross=aarch64-linux-gnu-gcc
if command -v $cross >/dev/null && command -v qemu-aarch64 >/dev/null; then
    row "$cross -O3, emulated ARM, NEON" $cross "-O3 -static" qemu-aarch64 "-j 1"
    row "$cross -O3, emulated ARM, plain" $cross "-O3 -static" qemu-aarch64 "-k plain -j 1"
fi
if command -v node >/dev/null; then
    program=$root/libaec/wasm/aecdec.mjs
    row "WebAssembly with SIMD, $(node --version | sed 's/^v/node /')" "" "$program" node ""
    row "WebAssembly, kernels in plain C" "" "$program" node "-k plain"
fi
if PYTHONPATH=$root $python -c "import aecodec, numpy" 2>/dev/null; then
    program=$root/scripts/exactness_picture.py
    export PYTHONPATH="$root"
    row "Python, integers in numpy" "" "$program" "$python" numpy
    if $python -c "import torch" 2>/dev/null; then
        row "Python, integers in torch, as on a GPU" "" "$program" "$python" torch
    fi
fi
[ $status = 0 ] && echo "all the same" || echo "THE PICTURES DIFFER"
exit $status
