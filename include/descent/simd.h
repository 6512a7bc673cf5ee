/* Plain loops, compiled once per instruction set and chosen by CPU when the program is loaded. The
 * bits are the same in all of them: -ffp-contract=off, and no loop may need reassociation. */
#ifndef DS_SIMD_H
#define DS_SIMD_H

/* DS_SIMD before a function's definition. Off under sanitizers, whose runtime is not up yet when
 * the choice is made, and by -DDS_NO_SIMD (tests compare the two). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(DS_NO_SIMD)
#define DS_SIMD
#elif defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __clang_major__ < 14
#define DS_SIMD
#elif defined(__x86_64__) && defined(__linux__)
#define DS_SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DS_SIMD
#endif
#elif defined(__x86_64__) && defined(__linux__)
#define DS_SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DS_SIMD
#endif

#endif
