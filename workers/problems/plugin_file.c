/* A plug-in's file: read once for its hash, loaded by dlopen, and held against what the header asks
 * for. Its symbols stay its own (RTLD_LOCAL), all of them must be found at once (RTLD_NOW). */
#include <ctype.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "descent/hash.h"

#include "problem_parts.h"

/* dlopen maps what the file's header promises: one cut short would end the process by SIGBUS. What
 * is no shared object of this machine is left to dlopen. */
static bool plugin_file_whole(FILE *file, uint64_t size)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    if (fread(&head, sizeof head, 1, file) != 1 || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_phentsize != sizeof part)
        return true;
    if (head.e_shoff > size || (uint64_t)head.e_shnum * head.e_shentsize > size - head.e_shoff ||
        head.e_phoff > size || fseek(file, (long)head.e_phoff, SEEK_SET) != 0)
        return false;
    for (int i = 0; i < head.e_phnum; i++)
        if (fread(&part, sizeof part, 1, file) != 1 ||
            (part.p_type == PT_LOAD &&
             (part.p_offset > size || part.p_filesz > size - part.p_offset)))
            return false;
    return true;
}

static ds_status plugin_file_hash(const char *path, uint64_t *out)
{
    ds_auto(ds_hash) hash = NULL;
    char piece[1 << 14];
    size_t n = 0;
    DS_TRY(ds_hash_create(&hash));
    struct stat kind;
    DS_CHECK(stat(path, &kind) != 0 || S_ISREG(kind.st_mode), DS_ERR_USAGE,
             "plug-in %s: cannot read: is %s, expected a shared object", path,
             S_ISDIR(kind.st_mode) ? "a directory" : "no regular file");
    FILE *file = fopen(path, "rb");
    DS_CHECK(file != NULL, DS_ERR_USAGE, "plug-in %s: cannot open: %s", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        ds_hash_add(hash, piece, n);
    bool good = ferror(file) == 0;
    int why = errno;
    long size = ftell(file);
    rewind(file);
    bool whole = size >= 0 && plugin_file_whole(file, (uint64_t)size);
    fclose(file);
    DS_CHECK(good, DS_ERR_USAGE, "plug-in %s: cannot read: %s", path, strerror(why));
    DS_CHECK(whole, DS_ERR_USAGE,
             "plug-in %s: cannot load: its %ld bytes end before its header says", path, size);
    *out = ds_hash_value(hash);
    return DS_OK;
}

static bool plugin_file_name(const char *name)
{
    size_t n = name == NULL ? 0 : strlen(name);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && strchr("_-.", name[i]) == NULL)
            return false;
    return n > 0 && n <= 64 && name[0] != '.';
}

static ds_status plugin_file_check(const char *path, const ds_plugin *p)
{
    DS_CHECK(p->abi == DS_PLUGIN_ABI, DS_ERR_USAGE,
             "plug-in %s: made for version %u of descent/plugin.h, this program has version %d; "
             "build it with this one's header",
             path, p->abi, DS_PLUGIN_ABI);
    DS_CHECK(p->bytes == sizeof *p, DS_ERR_USAGE,
             "plug-in %s: its descent_plugin says it has %u bytes, expected %zu; set .bytes = "
             "sizeof(ds_plugin) and build it with this program's header",
             path, p->bytes, sizeof *p);
    DS_CHECK(plugin_file_name(p->name), DS_ERR_USAGE,
             "plug-in %s: its name is '%.80s', expected letters, digits, '_', '-', '.'", path,
             p->name == NULL ? "" : p->name);
    DS_CHECK(p->open != NULL && p->loss != NULL, DS_ERR_USAGE,
             "plug-in %s: function '%s' is missing, expected open and loss", path,
             p->open == NULL ? "open" : "loss");
    DS_CHECK(p->data <= DS_PLUGIN_CLASSES, DS_ERR_USAGE,
             "plug-in %s: data is %d, expected one of ds_plugin_data", path, (int)p->data);
    DS_CHECK(p->n_options == 0 || p->option != NULL, DS_ERR_USAGE,
             "plug-in %s: %zu options, but no table of them", path, p->n_options);
    return DS_OK;
}

ds_status ds_plugin_load(const char *path, void **handle, const ds_plugin **out, uint64_t *identity)
{
    DS_TRY(plugin_file_hash(path, identity));
    void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    DS_CHECK(file != NULL, DS_ERR_USAGE, "plug-in %s: cannot load: %s", path, dlerror());
    const ds_plugin *found = dlsym(file, "descent_plugin");
    ds_status status = found != NULL ? plugin_file_check(path, found)
                                     : DS_FAIL(DS_ERR_USAGE,
                                               "plug-in %s: no symbol descent_plugin, expected "
                                               "`const ds_plugin descent_plugin = {...};` as "
                                               "descent/plugin.h says",
                                               path);
    if (status != DS_OK) {
        dlclose(file);
        return status;
    }
    *handle = file;
    *out = found;
    return DS_OK;
}

void ds_plugin_unload(void *handle)
{
    if (handle != NULL)
        dlclose(handle);
}
