/* The one fixed binary tree over shard indices along which gradients are added (DESIGN: the sum).
 */
#ifndef DS_TREE_H
#define DS_TREE_H

/* Local. Where [lo, hi), hi - lo >= 2, is cut: lo + the largest power of two below hi - lo. */
static inline int ds_tree_split(int lo, int hi)
{
    int half = 1;
    while (half * 2 < hi - lo)
        half *= 2;
    return lo + half;
}

/* Local. First of the b positions of a batch that shard k of V holds: [k*b/V, (k+1)*b/V). */
static inline long ds_shard_begin(long k, long b, long V)
{
    return k * b / V;
}

#endif
