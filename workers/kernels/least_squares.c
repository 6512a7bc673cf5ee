/* Least squares by the singular value decomposition (LAPACK dgelsd, in OpenBLAS): collinear columns
 * do no harm. Cost: of the order of rows cols^2; far from any step. */
#include "descent/least_squares.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern void dgelsd_(const int *m, const int *n, const int *nrhs, double *a, const int *lda,
                    double *b, const int *ldb, double *s, const double *rcond, int *rank,
                    double *work, const int *lwork, int *iwork, int *info);

typedef struct least_squares {
    int m, n, nrhs, ldb, rank, info, lwork;
    double *a, *b, *s, *work;
    int *iwork;
} least_squares;

static void least_squares_call(least_squares *self)
{
    const double rcond = -1; /* machine precision */
    dgelsd_(&self->m, &self->n, &self->nrhs, self->a, &self->m, self->b, &self->ldb, self->s,
            &rcond, &self->rank, self->work, &self->lwork, self->iwork, &self->info);
}

/* The first call asks how much room the second needs. */
static ds_status least_squares_solve(least_squares *self)
{
    double work = 0;
    int iwork = 0;
    self->lwork = -1;
    self->work = &work;
    self->iwork = &iwork;
    least_squares_call(self);
    self->lwork = (int)work + 1;
    self->work = malloc((size_t)self->lwork * sizeof *self->work);
    self->iwork = malloc(((size_t)iwork + 1) * sizeof *self->iwork);
    if (self->work != NULL && self->iwork != NULL)
        least_squares_call(self);
    bool room = self->work != NULL && self->iwork != NULL;
    free(self->work);
    free(self->iwork);
    DS_CHECK(room, DS_ERR_NOMEM, "out of memory for least squares");
    DS_CHECK(self->info == 0, DS_ERR_INTERNAL, "least squares did not converge (dgelsd says %d)",
             self->info);
    return DS_OK;
}

ds_status ds_least_squares(size_t rows, size_t cols, size_t targets, double *a, double *b,
                           double *x)
{
    DS_CHECK(rows > 0 && cols > 0 && rows <= INT_MAX && cols <= INT_MAX && targets <= INT_MAX,
             DS_ERR_INTERNAL, "least squares of %zu x %zu: not a size LAPACK takes", rows, cols);
    size_t most = rows > cols ? rows : cols, least = rows < cols ? rows : cols;
    least_squares self = {
        .m = (int)rows, .n = (int)cols, .nrhs = (int)targets, .ldb = (int)most, .a = a};
    self.b = calloc(most * targets + 1, sizeof *self.b);
    self.s = malloc(least * sizeof *self.s);
    ds_status status = self.b == NULL || self.s == NULL
                           ? DS_FAIL(DS_ERR_NOMEM, "out of memory for least squares")
                           : DS_OK;
    for (size_t t = 0; status == DS_OK && t < targets; t++)
        memcpy(self.b + t * most, b + t * rows, rows * sizeof *b);
    if (status == DS_OK)
        status = least_squares_solve(&self);
    for (size_t t = 0; status == DS_OK && t < targets; t++)
        memcpy(x + t * cols, self.b + t * most, cols * sizeof *x);
    free(self.b);
    free(self.s);
    return status;
}
