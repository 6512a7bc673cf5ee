/* What the alarms know as a text: counts, then reals as hexadecimal floats, then the ring of norms.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "trainer_parts.h"

enum { ALARMS_WHOLES = 7 + ALARMS_KINDS, ALARMS_REALS = 5 };
enum { ALARMS_TEXT = 32 * (ALARMS_WHOLES + ALARMS_REALS + ALARMS_NORMS) };

static void alarms_places(alarms *self, int64_t **whole, double **real)
{
    int64_t *wholes[] = {&self->lines,       &self->n_norms, &self->vanishing, &self->dead,
                         &self->overfitting, &self->train_n, &self->evals};
    double *reals[] = {&self->early_norm, &self->train_sum, &self->train_last, &self->eval_last,
                       &self->eval_best};
    for (size_t i = 0; i < ALARMS_WHOLES; i++)
        whole[i] = i < 7 ? wholes[i] : &self->quiet[i - 7];
    for (size_t i = 0; i < ALARMS_REALS; i++)
        real[i] = reals[i];
}

static size_t alarms_held(const alarms *self)
{
    return self->n_norms < ALARMS_NORMS ? (size_t)self->n_norms : ALARMS_NORMS;
}

ds_status alarms_text(const alarms *self, ds_arena *arena, const char **out)
{
    alarms copy = *self;
    int64_t *whole[ALARMS_WHOLES];
    double *real[ALARMS_REALS];
    char text[ALARMS_TEXT], *kept = NULL;
    size_t used = 0;
    alarms_places(&copy, whole, real);
    for (size_t i = 0; i < ALARMS_WHOLES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%" PRId64 " ", *whole[i]);
    for (size_t i = 0; i < ALARMS_REALS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%a ", *real[i]);
    for (size_t i = 0; i < alarms_held(self); i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%a ", self->norm[i]);
    DS_TRY(ds_arena_text(arena, text, &kept));
    *out = kept;
    return DS_OK;
}

/* The next number of a text; *text is NULL from the first word on that is none. */
static int64_t alarms_whole(const char **text)
{
    char *end = NULL;
    if (*text == NULL)
        return 0;
    int64_t value = strtoll(*text, &end, 10);
    *text = end == *text ? NULL : end;
    return value;
}

static double alarms_real(const char **text)
{
    char *end = NULL;
    if (*text == NULL)
        return 0;
    double value = strtod(*text, &end);
    *text = end == *text ? NULL : end;
    return value;
}

void alarms_restore(alarms *self, const char *text)
{
    alarms found = {0};
    int64_t *whole[ALARMS_WHOLES];
    double *real[ALARMS_REALS];
    alarms_places(&found, whole, real);
    for (size_t i = 0; i < ALARMS_WHOLES; i++)
        *whole[i] = alarms_whole(&text);
    for (size_t i = 0; i < ALARMS_REALS; i++)
        *real[i] = alarms_real(&text);
    if (found.n_norms < 0)
        return;
    for (size_t i = 0; i < alarms_held(&found); i++)
        found.norm[i] = alarms_real(&text);
    if (text != NULL)
        *self = found;
}
