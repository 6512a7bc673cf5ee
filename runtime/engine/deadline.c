/* When must a run stop to save in time? At a step border the word to stop goes out with the next
 * step, so what must still fit is: that step, the evaluation due after it, and the save. Steps are
 * taken as long as the longest so far, a save as three times the last one (file systems have bad
 * moments), and never less than the margin, in which the ranks end and the batch script queues the
 * job again. Costs a clock reading a step. */
#include "deadline.h"

#include "descent/clock.h"

static const int64_t second_ns = 1000000000, margin_most_s = 30, ns_a_byte = 10; /* 100 MB/s */

void deadline_start(deadline *self, int64_t end_ns, int64_t margin_s, size_t bytes)
{
    int64_t now = ds_clock_ns(), left = end_ns > now ? end_ns - now : 0;
    int64_t margin = margin_most_s * second_ns;
    if (margin_s > 0)
        margin = margin_s < left / second_ns ? margin_s * second_ns : left;
    else if (margin > left / 4)
        margin = left / 4;
    *self = (deadline){.end_ns = end_ns,
                       .margin_ns = margin,
                       .save_ns = (int64_t)bytes * ns_a_byte,
                       .mark_ns = now};
}

void deadline_saved(deadline *self, int64_t ns)
{
    self->save_ns = ns;
    self->mark_ns += ns;
}

void deadline_evaluated(deadline *self, int64_t ns)
{
    self->eval_ns = ns;
    self->mark_ns += ns;
}

bool deadline_is_near(deadline *self, bool evaluation_due)
{
    if (self->end_ns == 0)
        return false;
    int64_t now = ds_clock_ns(), step = now - self->mark_ns;
    if (step > self->step_ns)
        self->step_ns = step;
    self->mark_ns = now;
    int64_t save = 3 * self->save_ns > self->margin_ns ? 3 * self->save_ns : self->margin_ns;
    int64_t need = self->step_ns + (evaluation_due ? self->eval_ns : 0) + save;
    return self->end_ns - now < need;
}
