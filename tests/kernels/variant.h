/* One source, compiled once more for a named instruction set (see meson.build): VARIANT(name) is
 * its entry. */
#ifndef VARIANT_H
#define VARIANT_H
#define VARIANT_(prefix, name) prefix##_##name
#define VARIANT_2(prefix, name) VARIANT_(prefix, name)
#define VARIANT(name) VARIANT_2(VARIANT_PREFIX, name)
#define ds_fast_add VARIANT(add)
#define ds_fast_sum VARIANT(sum)
#define ds_fast_squares VARIANT(squares)
#define ds_fast_finite VARIANT(finite)
#define ds_fast_bias VARIANT(bias)
#define ds_fast_bias_gradient VARIANT(bias_gradient)
#define ds_fast_activate VARIANT(activate)
#define ds_fast_activate_gradient VARIANT(activate_gradient)
#define ds_fast_softmax VARIANT(softmax)
#endif
