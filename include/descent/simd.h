/* One plain loop, compiled once for each instruction set and chosen when the program starts. Put
 * DS_SIMD before a static function (clang 14 does not export clones) whose loops the compiler can
 * vectorise: only + - * /, sqrt, compares and integer operations, so that every clone gives the
 * same bits (the tree is built with -ffp-contract=off; no libm calls inside). DS_IVDEP before a
 * loop says that an element depends on no other: blocks may be the same but do not overlap
 * otherwise. */
#ifndef DS_SIMD_H
#define DS_SIMD_H

/* Sanitizers run after the loader has resolved the clones, which their instrumentation breaks. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DS_SIMD_CLONES 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define DS_SIMD_CLONES 0
#endif
#endif
#ifndef DS_SIMD_CLONES
#if defined(__x86_64__) && defined(__linux__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#define DS_SIMD_CLONES 1
#endif
#endif
#endif
#ifndef DS_SIMD_CLONES
#define DS_SIMD_CLONES 0
#endif

#ifndef DS_SIMD
#if DS_SIMD_CLONES
#define DS_SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DS_SIMD
#endif
#endif

/* For what a loop of DS_SIMD calls: a call left standing would be of the base instruction set. */
#define DS_SIMD_INLINE __attribute__((always_inline)) static inline

#if defined(__clang__)
#define DS_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define DS_IVDEP _Pragma("GCC ivdep")
#else
#define DS_IVDEP
#endif

#endif
