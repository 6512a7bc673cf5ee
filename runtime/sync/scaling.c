/* Loss scaling's rule (Micikevicius et al., ICLR 2018) with hysteresis, on the wire instead of the
 * loss: the scale falls at once when the peak leaves the upper half of the range, and doubles only
 * after a window of steps that leave three bits to spare. No step is repeated: what was cut off
 * stays in the residual. The first step sends at scale 1 and measures. */
#include "scaling.h"

#include <math.h>

enum { SCALING_WINDOW = 100 };
static const float scaling_most = 32768, scaling_good = 8192, scaling_spare = 4096;
static const float scaling_least_scale = 0x1p-60f, scaling_most_scale = 0x1p60f;

void ds_scaling_begin(ds_scaling *self)
{
    *self = (ds_scaling){.scale = 1, .clean = -1};
}

/* The largest power of two with peak * scale <= most. */
static float scaling_for(float peak, float most)
{
    int e = 0;
    (void)frexpf(most / peak, &e); /* 2^(e - 1) <= most / peak */
    float scale = ldexpf(1, e - 1);
    scale = scale < scaling_least_scale ? scaling_least_scale : scale;
    return scale > scaling_most_scale ? scaling_most_scale : scale;
}

bool ds_scaling_learn(ds_scaling *self, float peak, float limit)
{
    if (limit == 0 || peak == 0)
        return false;
    bool cut = peak * self->scale > limit;
    self->cuts += cut;
    if (peak * self->scale > scaling_most || self->clean < 0) {
        self->scale = scaling_for(peak, scaling_good);
        self->clean = 0;
    } else if (peak * self->scale >= scaling_spare) {
        self->clean = 0;
    } else if (++self->clean >= SCALING_WINDOW && self->scale < scaling_most_scale) {
        self->scale *= 2;
        self->clean = 0;
    }
    return cut;
}
