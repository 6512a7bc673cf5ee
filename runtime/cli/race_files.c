/* What a race leaves: race.json and race.csv, whole or not there, and the picture. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "descent/log.h"

#include "gnuplot.h"
#include "outfile.h"
#include "race.h"

static void files_number(cJSON *item, const char *name, double x)
{
    if (isfinite(x))
        cJSON_AddNumberToObject(item, name, x);
    else
        cJSON_AddNullToObject(item, name);
}

static cJSON *files_run(const race *self, const race_run *r)
{
    cJSON *item = cJSON_CreateObject(), *steps = cJSON_CreateArray(), *path = cJSON_CreateArray();
    cJSON_AddStringToObject(item, "name", r->name);
    cJSON_AddStringToObject(item, "optimizer", r->optimizer);
    files_number(item, "lr", r->lr > 0 ? r->lr : (double)NAN);
    files_number(item, "batch", (double)r->batch);
    files_number(item, "steps", (double)r->steps);
    files_number(item, "samples", (double)r->samples);
    cJSON_AddBoolToObject(item, "diverged", r->diverged);
    if (r->diverged)
        cJSON_AddStringToObject(item, "why", r->why);
    files_number(item, "first_loss", r->first);
    files_number(item, "final_loss", r->last);
    files_number(item, "best_loss", r->best);
    files_number(item, "best_step", (double)r->best_step);
    files_number(item, "target_step", r->reached >= 0 ? (double)r->reached : (double)NAN);
    for (size_t k = 0; k < r->n; k++)
        cJSON_AddItemToArray(steps, cJSON_CreateNumber((double)r->step[k]));
    cJSON_AddItemToObject(item, "step", steps);
    cJSON_AddItemToObject(item, "loss", cJSON_CreateDoubleArray(r->loss, (int)r->n));
    for (size_t k = 0; k < r->n && self->plane; k++)
        cJSON_AddItemToArray(path, cJSON_CreateDoubleArray(r->w[k], 2));
    if (self->plane)
        cJSON_AddItemToObject(item, "path", path);
    else
        cJSON_Delete(path);
    return item;
}

ds_status race_json(const race *self, FILE *file)
{
    cJSON *root = cJSON_CreateObject(), *runs = cJSON_CreateArray();
    cJSON_AddStringToObject(root, "subject", self->subject);
    files_number(root, "target", self->target);
    if (self->best < self->n)
        cJSON_AddStringToObject(root, "best", self->run[self->best].name);
    else
        cJSON_AddNullToObject(root, "best");
    for (size_t i = 0; i < self->n; i++)
        cJSON_AddItemToArray(runs, files_run(self, &self->run[i]));
    cJSON_AddItemToObject(root, "runs", runs);
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    DS_CHECK(text != NULL, DS_ERR_NOMEM, "out of memory for the race's JSON");
    fprintf(file, "%s\n", text);
    cJSON_free(text);
    return DS_OK;
}

static ds_status files_csv(const race *self, FILE *file)
{
    fprintf(file, "run,optimizer,lr,batch,step,loss");
    if (self->plane)
        fprintf(file, ",%s,%s", self->axis[0], self->axis[1]);
    fputc('\n', file);
    for (size_t i = 0; i < self->n; i++)
        for (size_t k = 0; k < self->run[i].n; k++) {
            const race_run *r = &self->run[i];
            fprintf(file, "%s,%s,%.9g,%lld,%lld,%.17g", r->name, r->optimizer, r->lr,
                    (long long)r->batch, (long long)r->step[k], ds_shown(r->loss[k]));
            if (self->plane)
                fprintf(file, ",%.9g,%.9g", ds_shown((double)r->w[k][0]),
                        ds_shown((double)r->w[k][1]));
            fputc('\n', file);
        }
    return DS_OK;
}

static ds_status files_write(const race *self, const char *name,
                             ds_status (*write)(const race *, FILE *))
{
    char path[4200];
    outfile out;
    snprintf(path, sizeof path, "%.4000s/%s", self->out, name);
    DS_TRY(outfile_open(path, &out));
    return outfile_close(&out, write(self, out.file));
}

static ds_status files_picture(const race *self, const char *path)
{
    race_surface surface = {0};
    if (self->plane)
        DS_TRY(race_surface_make(self, RACE_GRID, RACE_GRID, &surface));
    ds_status st = race_picture(self, self->plane ? &surface : NULL, path);
    free(surface.level);
    return st;
}

bool race_out_is_picture(const char *out)
{
    size_t n = strlen(out);
    return n > 4 && (strcmp(out + n - 4, ".svg") == 0 || strcmp(out + n - 4, ".png") == 0);
}

ds_status race_room(const race *self)
{
    if (race_out_is_picture(self->out))
        return gnuplot_there();
    DS_CHECK(mkdir(self->out, 0777) == 0 || errno == EEXIST, DS_ERR_WRITE,
             "race: cannot create directory %s: %s", self->out, strerror(errno));
    struct stat s;
    DS_CHECK(stat(self->out, &s) == 0 && S_ISDIR(s.st_mode), DS_ERR_WRITE,
             "race: %s is there and no directory: give another --out", self->out);
    return DS_OK;
}

/* In a directory the rest is there without gnuplot too. */
ds_status race_write(const race *self)
{
    char path[4200];
    if (race_out_is_picture(self->out))
        return files_picture(self, self->out);
    DS_TRY(files_write(self, "race.json", race_json));
    DS_TRY(files_write(self, "race.csv", files_csv));
    snprintf(path, sizeof path, "%.4000s/race.svg", self->out);
    ds_status st = files_picture(self, path);
    if (st != DS_ERR_USAGE)
        return st;
    ds_log(DS_LOG_WARN, "no race.svg: gnuplot does not start here (Debian: gnuplot-nox)");
    return DS_OK;
}
