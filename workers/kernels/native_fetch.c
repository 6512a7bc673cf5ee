/* What a product reads next comes into the second-level cache while its tiles compute: a line or a
 * few each NATIVE_STRETCH of k. Only plain operands are known so well. */
#include "native_call.h"

/* A part of a side, within so many tiles. */
static ds_native_fetch fetch_part(const ds_native_call *call, const ds_operand *side,
                                  const ds_native_part *part, size_t tiles)
{
    const ds_native_matrix *m = side->source;
    if (side->pack != ds_native_pack_plain || part->rows == 0 || part->n == 0)
        return (ds_native_fetch){.pace = 0};
    ds_native_fetch fetch = {.at = m->data + part->row * m->ld + part->depth,
                             .width = part->n,
                             .pitch = m->ld,
                             .rows = part->rows};
    if (m->turned)
        fetch = (ds_native_fetch){.at = m->data + part->depth * m->ld + part->row,
                                  .width = part->rows,
                                  .pitch = m->ld,
                                  .rows = part->n};
    size_t stretches = tiles * ((call->n + NATIVE_STRETCH - 1) / NATIVE_STRETCH);
    size_t lines = (fetch.width + 15) / 16 * fetch.rows;
    fetch.pace = (lines + stretches - 1) / stretches;
    return fetch;
}

/* How much of k comes after these n. */
static size_t fetch_depth(const ds_native_call *call)
{
    size_t left = call->product->k - call->depth - call->n;
    return left < NATIVE_DEPTH ? left : NATIVE_DEPTH;
}

/* A cold b then costs what a warm one does (16 rows by 1024 x 1024: 57 GFLOP/s without, 100 with).
 */
ds_native_fetch ds_native_fetch_b(const ds_native_call *call, size_t j)
{
    ds_native_part next = {j + NATIVE_WIDTH, 0, call->depth, call->n};
    if (next.row >= call->end_column)
        next = (ds_native_part){call->first_column, 0, call->depth + call->n, fetch_depth(call)};
    size_t left = call->end_column - next.row;
    next.rows = left < NATIVE_WIDTH ? left : NATIVE_WIDTH;
    return fetch_part(call, call->product->b, &next, call->tiles);
}

ds_native_fetch ds_native_fetch_turned(const ds_native_call *call)
{
    const ds_native_part next = {call->row, call->rows, call->depth + call->n, fetch_depth(call)};
    size_t columns = call->end_column - call->first_column;
    return fetch_part(call, call->product->a, &next,
                      (columns + NATIVE_WIDTH - 1) / NATIVE_WIDTH * call->tiles);
}

ds_native_fetch ds_native_fetch_tile(const ds_native_call *call, size_t t)
{
    if (t + 1 == call->tiles)
        return (ds_native_fetch){.pace = 0};
    const ds_native_part next = {call->row + call->begin[t + 1],
                                 call->begin[t + 2] - call->begin[t + 1], call->depth, call->n};
    return fetch_part(call, call->product->a, &next, 1);
}
