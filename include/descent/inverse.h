/* The inverse of a symmetric positive definite matrix. */
#ifndef DS_INVERSE_H
#define DS_INVERSE_H

#include <stdbool.h>
#include <stddef.h>

#include "descent/status.h"

/* Local. Doubles of room that an inverse of (n, n) takes. */
DS_API size_t ds_inverse_room(size_t n);
/* Local. a (n, n), dense, becomes its inverse, symmetric to the bit; false where a is not positive
 * definite or not finite (a is then unspecified). The same bits on every CPU. */
DS_API bool ds_inverse(size_t n, double *a, double *room);

#endif
