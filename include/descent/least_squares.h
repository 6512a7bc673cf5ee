/* The closed-form solution of linear regression, for comparison with what descent finds. */
#ifndef DS_LEAST_SQUARES_H
#define DS_LEAST_SQUARES_H

#include "descent/status.h"

/* Local. The x (cols, targets) of least norm among those that minimise |a x - b|, by LAPACK's
 * dgelsd. a (rows, cols) and b (rows, targets) are column-major and overwritten; x is column-major.
 * Errors: NOMEM, INTERNAL (no convergence). */
DS_API ds_status ds_least_squares(size_t rows, size_t cols, size_t targets, double *a, double *b,
                                  double *x) DS_NODISCARD;

#endif
