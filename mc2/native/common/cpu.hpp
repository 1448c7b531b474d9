// Which SIMD instructions this process may use.
//
// The extension is compiled for the baseline of its architecture; a function that uses AVX2 carries the
// attribute MC2_AVX2 and is called only where has_avx2() holds. Everything has a scalar form as well, which
// other architectures use, and x86-64 too when the environment variable MC2_SIMD is "scalar".
#pragma once

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define MC2_X86_64 1
#define MC2_AVX2 __attribute__((target("avx2")))
#else
#define MC2_X86_64 0
#endif

namespace mc2 {

inline bool detect_avx2() {
    const char* wanted = std::getenv("MC2_SIMD");
    if (wanted != nullptr && std::strcmp(wanted, "scalar") == 0) return false;
#if MC2_X86_64
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
#else
    return false;
#endif
}

// Asked once per process: the answer never changes while it runs.
inline bool has_avx2() {
    static const bool answer = detect_avx2();
    return answer;
}

}  // namespace mc2
