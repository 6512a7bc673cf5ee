/* descent export: a checkpoint's tensors for other programs. OUT is whole or not there. Memory: one
 * piece of one tensor. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "descent/log.h"
#include "descent/value.h"

#include "args.h"
#include "command.h"
#include "exports.h"
#include "outfile.h"

enum { EXPORT_PIECE = 1 << 18 }; /* bytes, a multiple of each type's */

static const export_writer *const export_table[] = {&export_safetensors, &export_npz};

static ds_status export_format(const char *path, const export_writer **out)
{
    const char *name[sizeof export_table / sizeof *export_table];
    const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    for (size_t i = 0; i < sizeof export_table / sizeof *export_table; i++) {
        name[i] = export_table[i]->extension;
        if (dot != NULL && dot != base && strcmp(dot + 1, name[i]) == 0) {
            *out = export_table[i];
            return DS_OK;
        }
    }
    const char *closest =
        dot == NULL ? NULL : ds_closest(dot + 1, sizeof name / sizeof *name, name);
    return DS_FAIL(DS_ERR_USAGE, "export: '%s' is neither .safetensors nor .npz%s%s%s", path,
                   closest == NULL ? "" : " (closest: .", closest == NULL ? "" : closest,
                   closest == NULL ? "" : ")");
}

static bool export_wants(const char *path, bool all)
{
    return all || strncmp(path, "/parameters/", 12) == 0 || strncmp(path, "/input/", 7) == 0;
}

/* /parameters/dense1/weight is dense1.weight as in a PyTorch state_dict; /input/mean is input.mean;
 * /optimizer/m/dense1/weight is optimizer.m.dense1.weight. NULL: no memory. */
static char *export_name(const char *path)
{
    const char *from = strncmp(path, "/parameters/", 12) == 0 ? path + 12 : path + 1;
    char *name = strdup(from);
    for (char *p = name; p != NULL && *p != '\0'; p++)
        if (*p == '/')
            *p = '.';
    return name;
}

static void export_free(export_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        char *name;
        memcpy(&name, &set->item[i].name, sizeof name);
        free(name);
    }
    free(set->item);
}

static ds_status export_unique(const export_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        DS_CHECK(strcmp(set->item[i].name, name) != 0, DS_ERR_USAGE,
                 "export: two tensors would be named %s; rename a layer", name);
    return DS_OK;
}

static ds_status export_collect(const ds_checkpoint *c, bool all, export_set *set)
{
    size_t n = ds_checkpoint_n(c);
    set->from = c;
    set->item = calloc(n + 1, sizeof *set->item);
    DS_CHECK(set->item != NULL, DS_ERR_NOMEM, "out of memory for %zu tensors", n);
    for (size_t i = 0; i < n; i++) {
        ds_tensor_info info = ds_checkpoint_tensor(c, i);
        if (!export_wants(info.path, all))
            continue;
        if (!info.good) {
            ds_log(DS_LOG_WARN, "%s is damaged and left out", info.path);
            continue;
        }
        char *name = export_name(info.path);
        DS_CHECK(name != NULL, DS_ERR_NOMEM, "out of memory for %zu tensors", n);
        ds_status st = export_unique(set, name);
        if (st != DS_OK) {
            free(name);
            return st;
        }
        set->item[set->n++] = (export_item){.index = i,
                                            .name = name,
                                            .info = info,
                                            .bytes = (uint64_t)ds_shape_elements(&info.shape) *
                                                     ds_dtype_bytes(info.type)};
    }
    return DS_OK;
}

ds_status export_copy(const export_set *set, size_t i, FILE *file, uint32_t *crc)
{
    unsigned char *piece = malloc(EXPORT_PIECE);
    DS_CHECK(piece != NULL, DS_ERR_NOMEM, "out of memory for %d bytes", EXPORT_PIECE);
    const export_item *item = &set->item[i];
    size_t each = ds_dtype_bytes(item->info.type), most = EXPORT_PIECE / each;
    size_t n = ds_shape_elements(&item->info.shape);
    ds_status st = DS_OK;
    for (size_t at = 0; at < n && st == DS_OK && !ferror(file); at += most) {
        size_t now = n - at < most ? n - at : most;
        st = ds_checkpoint_read_part(set->from, item->index, at, now, piece);
        if (st == DS_OK)
            fwrite(piece, each, now, file);
        if (st == DS_OK && crc != NULL)
            *crc = (uint32_t)crc32(*crc, piece, (unsigned)(now * each));
    }
    free(piece);
    return st;
}

static ds_status export_file(const export_writer *writer, const export_set *set, const char *path)
{
    outfile out;
    DS_TRY(outfile_open(path, &out));
    return outfile_close(&out, writer->write(set, out.file));
}

static ds_status export_open(const char *argument, bool salvage, char path[4096], ds_checkpoint **c)
{
    bool good = false;
    char why[1024];
    DS_TRY(ds_checkpoint_resolve(argument, 4096, path));
    if (!salvage) {
        ds_status st = ds_checkpoint_open(path, c);
        if (st != DS_ERR_CHECKPOINT || strstr(ds_last_error(), ": damaged: ") == NULL)
            return st;
        snprintf(why, sizeof why, "%s", ds_last_error());
        return DS_FAIL(st, "%s; with --salvage what is whole is exported", why);
    }
    DS_TRY(ds_checkpoint_salvage(path, c, &good));
    if (!good)
        ds_log(DS_LOG_WARN, "%s", ds_last_error());
    return DS_OK;
}

static ds_status export_checkpoint(const char *argument, const char *out, bool all, bool salvage)
{
    char path[4096];
    const export_writer *writer = NULL;
    DS_TRY(export_format(out, &writer));
    ds_auto(ds_checkpoint) c = NULL;
    DS_TRY(export_open(argument, salvage, path, &c));
    export_set set = {0};
    ds_status st = export_collect(c, all, &set);
    if (st == DS_OK && salvage && set.n == 0)
        st = DS_FAIL(DS_ERR_CHECKPOINT, "%s: nothing of it can be exported", path);
    if (st == DS_OK)
        st = export_file(writer, &set, out);
    uint64_t bytes = 0;
    for (size_t i = 0; i < set.n; i++)
        bytes += set.item[i].bytes;
    if (st == DS_OK)
        printf("%s: %zu tensors, %llu bytes, of %s, step %lld\n", out, set.n,
               (unsigned long long)bytes, path, (long long)ds_checkpoint_step(c));
    export_free(&set);
    return st;
}

static ds_status export_run(ds_world *world, int argc, char **argv)
{
    (void)world;
    bool all = false, salvage = false;
    arg_list path;
    const arg table[] = {
        {"--all", ARG_FLAG, &all}, {"--salvage", ARG_FLAG, &salvage}, {NULL, ARG_FLAG, NULL}};
    DS_TRY(args_parse(argc, argv, table, &path));
    DS_TRY(args_expect("export", &path, 2, 2, "a checkpoint and OUT.safetensors or OUT.npz"));
    return export_checkpoint(path.item[0], path.item[1], all, salvage);
}

extern const ds_command ds_command_export;
const ds_command ds_command_export = {
    .name = "export",
    .usage = "export CKPT OUT.(safetensors|npz) [--all] [--salvage]",
    .help =
        "Write a checkpoint's tensors, bit for bit, for other programs: numpy.load reads npz, the\n"
        "safetensors libraries the other. CKPT is a file or a run's directory (its latest).\n"
        "Parameters are named as in PyTorch (dense1.weight, shape (out, in)); what the inputs are\n"
        "normalised with is input.mean and input.std. safetensors also keeps step, params_hash,\n"
        "input_scale and the config as metadata. No more than these without --all.\n"
        "  --all       all else too: optimizer.exp_avg.dense1.weight, history.loss, what a way to\n"
        "              synchronise keeps (sync.master.dense1.weight), ...\n"
        "  --salvage   of a damaged checkpoint: what is whole, naming what is left out\n",
    .run = export_run,
};
