// Which SIMD instructions this process may use.
//
// The extension is compiled for the baseline of its architecture; a function that uses AVX2 carries the
// attribute MC2_AVX2 and is called only where has_avx2() holds; so it is with AVX-512. Everything has a scalar form as
// well, which other architectures use, and x86-64 too when the environment variable MC2_SIMD is "scalar"; where it is
// "avx2", AVX-512 is not used.
//
// MC2_AVX2 stands for AVX2 and the instructions for bits that came with it or before it (popcnt, tzcnt, shifts by a
// register). Fused multiply-add is left out: it rounds once where two instructions round twice.
#pragma once

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)
#define MC2_X86_64 1
#define MC2_AVX2 __attribute__((target("avx2,popcnt,bmi,bmi2")))
#define MC2_AVX512 __attribute__((target("avx512f,avx2,popcnt,bmi,bmi2")))
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

// Whether MC2_SIMD is this.
inline bool is_wanted(const char* simd) {
    const char* wanted = std::getenv("MC2_SIMD");
    return wanted != nullptr && std::strcmp(wanted, simd) == 0;
}

inline bool detect_avx2() {
    if (is_wanted("scalar")) return false;
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

inline bool detect_avx512() {
#if MC2_X86_64
    return has_avx2() && !is_wanted("avx2") && __builtin_cpu_supports("avx512f");
#else
    return false;
#endif
}

inline bool has_avx512() {
    static const bool answer = detect_avx512();
    return answer;
}

}  // namespace mc2
