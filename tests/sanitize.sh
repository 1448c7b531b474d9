#!/usr/bin/env bash
# The native core under AddressSanitizer and UndefinedBehaviorSanitizer: its tests with AVX2 and without, then
# fuzz targets for FUZZ_SECONDS (60). `make sanitize` runs this. Takes about 8 minutes on two cores, and ends with
# the line "sanitize: nothing found".
#
# The tests need g++. The fuzz targets are guided by coverage where clang has libFuzzer, else random and seeded.
# What they find is kept in DIRECTORY/found; DIRECTORY/corpus remembers what reached new code.
set -euo pipefail
[ $# = 1 ] || { echo "usage: tests/sanitize.sh DIRECTORY    (with a virtual environment DIRECTORY/venv)" >&2; exit 2; }
cd "$(dirname "$0")/.."
mkdir -p "$1"
work=$(cd "$1" && pwd)
python=$work/venv/bin/python

SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all -D_GLIBCXX_ASSERTIONS"
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

stop() { echo "sanitize: $*" >&2; exit 1; }

build_and_test() {
    # A copy, so that neither the checkout nor its build directory gets a library with sanitizers.
    rm -rf "$work/checkout"
    mkdir -p "$work/checkout"
    cp -r mc2 tests docs bin setup.py pyproject.toml README.md "$work/checkout"
    [ ! -d ../shared/data ] || ln -sfn "$(cd ../shared && pwd)" "$work/shared"      # real data, where there is any
    cd "$work/checkout"
    find . -name '*.so' -delete
    MC2_SANITIZE=1 CC=gcc CXX=g++ "$python" setup.py --quiet build_ext --inplace

    local library preload=""
    for library in libasan.so libstdc++.so; do      # libstdc++ too, or exceptions are not seen by libasan
        library=$(g++ -print-file-name="$library")
        [ -f "$library" ] || stop "g++ has no $library. Install the sanitizers of gcc."
        preload+="$library "
    done
    for simd in "" scalar; do
        echo "sanitize: tests with MC2_SIMD=${simd:-best}"
        # Reports go past pytest, which would swallow them when the process ends: --capture=sys.
        # detect_leaks: Python itself never frees everything.
        export LD_PRELOAD=$preload MC2_SIMD=$simd ASAN_OPTIONS=detect_leaks=0
        "$python" -c "import mc2._native, fasttext_pybind" ||
            stop "the native core or the module fasttext to compare it with is not there"
        "$python" -m pytest -q --capture=sys -p no:cacheprovider \
            tests/test_native_matcher.py tests/test_native_lid.py tests/test_native_clean.py \
            tests/test_native_balance.py tests/test_native_dedup.py tests/test_native_lines.py tests/test_ids.py tests/test_matching.py tests/test_lid.py \
            tests/test_records.py ||
            stop "the tests failed"
        unset LD_PRELOAD MC2_SIMD
    done
    cd - > /dev/null
}

compile_targets() {
    local compiler target embed         # embed: what a program needs that runs Python itself
    embed=$("$python" -c "from sysconfig import *; at = get_config_var('LIBDIR')
print('-isystem', get_path('include'), '-L' + at, '-Wl,-rpath,' + at, '-lpython' + get_config_var('LDVERSION'))")
    if echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
           clang++ -fsanitize=fuzzer,address,undefined -x c++ - -o "$work/probe" 2> "$work/probe.log"; then
        echo "sanitize: fuzz targets guided by coverage (libFuzzer)"
        compiler="clang++ -fsanitize=fuzzer"
    else
        echo "sanitize: no clang with libFuzzer here; fuzz targets with random inputs"
        compiler="g++ mc2/native/fuzz/driver.cpp"
    fi
    compiler+=" -std=c++17 -O1 -g -Wall -Wextra -ffp-contract=off -Imc2/native $SANITIZE"
    compiler+=" -include mc2/native/fuzz/exact_mmap.hpp mc2/native/common/files.cpp"
    printf '%s\n' $TARGETS | xargs -P "$(nproc)" -I{} sh -ec "
        case {} in
            model_file) more=mc2/native/lid/*.cpp ;;
            clean) more='mc2/native/text/*.cpp $embed' ;;
            lines) more='$embed' ;;
            *) more=mc2/native/match/*.cpp ;;
        esac
        $compiler mc2/native/fuzz/fuzz_{}.cpp \$more -o '$work/fuzz_{}'" ||
        stop "a fuzz target does not compile"
}

fuzz() {
    local target simd seed=${FUZZ_SEED:-$((RANDOM + 1))} total=${FUZZ_SECONDS:-60}
    local seconds=$(((total + 9) / 10))             # five targets, with AVX2 and without
    # The Python of the targets for cleaning and lines finds what mc2 imports there.
    export PYTHONPATH="$PWD:$("$python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")"
    mkdir -p "$work/found"
    for target in $TARGETS; do
        for simd in "" scalar; do
            echo "sanitize: fuzz_$target for $seconds s with MC2_SIMD=${simd:-best}, seed $seed"
            mkdir -p "$work/corpus/$target"
            # An input may take 25 s and a GB, far more than a sound one needs.
            MC2_SIMD=$simd ASAN_OPTIONS=detect_leaks=0:handle_abort=1:max_allocation_size_mb=1024:quarantine_size_mb=64 \
                "$work/fuzz_$target" -max_total_time="$seconds" -seed="$seed" -max_len=512 -len_control=0 \
                -timeout=25 -malloc_limit_mb=1024 -rss_limit_mb=4096 \
                -artifact_prefix="$work/found/$target-" "$work/corpus/$target" > "$work/fuzz.log" 2>&1 ||
                { cat "$work/fuzz.log"; stop "fuzz_$target failed: run it again with its file from $work/found"; }
            grep "^Done" "$work/fuzz.log"
        done
    done
}

TARGETS="dictionary matcher_file model_file clean lines"
build_and_test
compile_targets
fuzz
echo "sanitize: nothing found"
