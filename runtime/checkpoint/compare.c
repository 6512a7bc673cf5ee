/* Numbers about tensors and pairs of them, read in pieces: a checkpoint larger than memory will do.
 */
#include <math.h>
#include <string.h>

#include "descent/checkpoint.h"

enum { COMPARE_PIECE = 2048 };

typedef union compare_piece {
    float f32[COMPARE_PIECE];
    double f64[COMPARE_PIECE];
    int64_t i64[COMPARE_PIECE];
    unsigned char u8[COMPARE_PIECE * 8]; /* also the bytes of the others */
} compare_piece;

static double compare_value(ds_dtype type, const compare_piece *p, size_t k)
{
    switch (type) {
    case DS_F32:
        return (double)p->f32[k];
    case DS_F64:
        return p->f64[k];
    case DS_I64:
        return (double)p->i64[k];
    case DS_U8:
        break;
    }
    return (double)p->u8[k];
}

ds_status ds_checkpoint_stats(const ds_checkpoint *self, size_t i, ds_tensor_stats *out)
{
    ds_tensor_info info = ds_checkpoint_tensor(self, i);
    ds_tensor_stats s = {
        .n = ds_shape_elements(&info.shape), .min = (double)INFINITY, .max = -(double)INFINITY};
    compare_piece piece;
    double sum = 0, squares = 0;
    for (size_t at = 0; at < s.n; at += COMPARE_PIECE) {
        size_t n = s.n - at < COMPARE_PIECE ? s.n - at : COMPARE_PIECE;
        DS_TRY(ds_checkpoint_read_part(self, i, at, n, &piece));
        for (size_t k = 0; k < n; k++) {
            double x = compare_value(info.type, &piece, k);
            if (!isfinite(x)) {
                s.non_finite++;
                continue;
            }
            sum += x;
            squares += x * x;
            s.min = x < s.min ? x : s.min;
            s.max = x > s.max ? x : s.max;
        }
    }
    size_t finite = s.n - s.non_finite;
    s.norm = sqrt(squares);
    s.mean = finite > 0 ? sum / (double)finite : (double)NAN;
    if (finite == 0)
        s.min = s.max = (double)NAN;
    *out = s;
    return DS_OK;
}

ds_status ds_checkpoint_histogram(const ds_checkpoint *self, size_t i, double lo, double hi,
                                  size_t n_bins, size_t *count)
{
    DS_ASSERT(n_bins > 0);
    ds_tensor_info info = ds_checkpoint_tensor(self, i);
    size_t all = ds_shape_elements(&info.shape);
    compare_piece piece;
    /* halves: hi - lo may overflow */
    double half = hi / 2 - lo / 2;
    memset(count, 0, n_bins * sizeof *count);
    for (size_t at = 0; at < all; at += COMPARE_PIECE) {
        size_t n = all - at < COMPARE_PIECE ? all - at : COMPARE_PIECE;
        DS_TRY(ds_checkpoint_read_part(self, i, at, n, &piece));
        for (size_t k = 0; k < n; k++) {
            double x = compare_value(info.type, &piece, k);
            if (!(x >= lo && x <= hi))
                continue;
            double place = (half > 0 ? (x / 2 - lo / 2) / half : 0.5) * (double)n_bins;
            size_t bin = place < (double)n_bins ? (size_t)place : n_bins - 1;
            count[bin]++;
        }
    }
    return DS_OK;
}

/* Numbers of a type in their order as unsigned integers, so that neighbours differ by 1. */
static uint64_t compare_rank(ds_dtype type, const compare_piece *p, size_t k)
{
    const uint64_t sign64 = (uint64_t)1 << 63, sign32 = (uint64_t)1 << 31;
    if (type == DS_U8)
        return p->u8[k];
    if (type == DS_F32) {
        uint32_t bits;
        memcpy(&bits, &p->f32[k], sizeof bits);
        return (bits & sign32) != 0 ? (uint32_t)~bits : bits | sign32;
    }
    uint64_t bits;
    memcpy(&bits, &p->i64[k], sizeof bits);
    if (type == DS_I64)
        return bits ^ sign64;
    return (bits & sign64) != 0 ? ~bits : bits | sign64;
}

static void compare_pair(ds_dtype type, const compare_piece *a, const compare_piece *b, size_t k,
                         ds_tensor_diff *d)
{
    uint64_t x = compare_rank(type, a, k), y = compare_rank(type, b, k);
    uint64_t ulp = x > y ? x - y : y - x;
    double distance = fabs(compare_value(type, a, k) - compare_value(type, b, k));
    if (d->differ == 0)
        d->max_abs = distance;
    d->differ++;
    d->max_ulp = ulp > d->max_ulp ? ulp : d->max_ulp;
    if (isnan(distance) || distance > d->max_abs)
        d->max_abs = distance;
}

ds_status ds_checkpoint_compare(const ds_checkpoint *a, size_t i, const ds_checkpoint *b, size_t j,
                                ds_tensor_diff *out)
{
    ds_tensor_info x = ds_checkpoint_tensor(a, i), y = ds_checkpoint_tensor(b, j);
    DS_ASSERT(x.type == y.type && ds_shape_equal(&x.shape, &y.shape));
    ds_tensor_diff d = {.n = ds_shape_elements(&x.shape)};
    compare_piece p, q;
    size_t each = ds_dtype_bytes(x.type);
    for (size_t at = 0; at < d.n; at += COMPARE_PIECE) {
        size_t n = d.n - at < COMPARE_PIECE ? d.n - at : COMPARE_PIECE;
        DS_TRY(ds_checkpoint_read_part(a, i, at, n, &p));
        DS_TRY(ds_checkpoint_read_part(b, j, at, n, &q));
        for (size_t k = 0; k < n; k++) {
            if (memcmp(p.u8 + k * each, q.u8 + k * each, each) == 0)
                continue;
            if (d.differ == 0)
                d.first = at + k;
            compare_pair(x.type, &p, &q, k, &d);
        }
    }
    *out = d;
    return DS_OK;
}
