/* A bounded record of the training loss: at most DS_HISTORY points, evenly spread over the run,
 * whatever is logged. Which steps it holds is a pure function of how many steps there were. */
#include "trainer_parts.h"

ds_status history_create(ds_arena *arena, history *self)
{
    *self = (history){.n = 0, .stride = 1};
    DS_TRY(ds_arena_take(arena, DS_HISTORY, sizeof *self->step, "the loss history", &self->step));
    return ds_arena_take(arena, DS_HISTORY, sizeof *self->loss, "the loss history", &self->loss);
}

void history_add(history *self, int64_t step, double loss)
{
    if (step % self->stride != 0)
        return;
    if (self->n == DS_HISTORY) {
        self->stride *= 2;
        self->n = 0;
        for (size_t i = 0; i < DS_HISTORY; i++) {
            if (self->step[i] % self->stride != 0)
                continue;
            self->step[self->n] = self->step[i];
            self->loss[self->n++] = self->loss[i];
        }
        if (step % self->stride != 0)
            return;
    }
    self->step[self->n] = step;
    self->loss[self->n++] = loss;
}
