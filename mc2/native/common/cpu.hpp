// Which SIMD instructions this process may use.
//
// The extension is compiled for the baseline of its architecture; a function that uses AVX2 carries the
// attribute MC2_AVX2 and is called only where has_avx2() holds. Everything has a scalar form as well, which
// other architectures use, and x86-64 too when the environment variable MC2_SIMD is "scalar".
//
// MC2_AVX2 stands for AVX2 and the instructions for bits that came with it or before it (popcnt, tzcnt, shifts by a
// register). Fused multiply-add is left out: it rounds once where two instructions round twice.
#pragma once

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define MC2_X86_64 1
#define MC2_AVX2 __attribute__((target("avx2,popcnt,bmi,bmi2")))
#else
#define MC2_X86_64 0
#endif

// A function whose instructions are those that its caller may use.
#if defined(__GNUC__)
#define MC2_INLINE __attribute__((always_inline)) inline
#else
#define MC2_INLINE inline
#endif

namespace mc2 {

inline bool detect_avx2() {
    const char* wanted = std::getenv("MC2_SIMD");
    if (wanted != nullptr && std::strcmp(wanted, "scalar") == 0) return false;
#if MC2_X86_64
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
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
