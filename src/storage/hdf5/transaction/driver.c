/* The virtual file driver "pixelmill_transaction": HDF5's side of a transaction.
 *
 * HDF5's driver struct differs between versions, so it is filled in here, against the header
 * of the very HDF5 that is linked; every operation is handed on to the Rust callbacks.
 * The driver has no lock operation: locking is storage/lock.rs's business. */
#include <hdf5.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Mirrored by `Callbacks` in driver.rs. `open` returns NULL on failure, `read` the system's error
 * number; a failed write is never HDF5's concern. `compare` orders files; 0 is the same file. */
typedef struct {
    const void *(*open)(const void *state, const char *name, bool writable);
    void (*close)(const void *state);
    int (*read)(const void *state, uint64_t address, size_t size, void *buffer);
    void (*write)(const void *state, uint64_t address, size_t size, const void *buffer);
    void (*set_end_of_allocation)(const void *state, uint64_t address);
    uint64_t (*end_of_file)(const void *state);
    int (*compare)(const void *left, const void *right);
    int (*descriptor)(const void *state);
} callbacks_t;

/* What HDF5 hands out as the file's handle: a file descriptor, as of any POSIX driver, and for us the
 * state behind it. Mirrored by `Handle` in driver.rs. */
typedef struct {
    int descriptor; /* must be first: HDF5 takes the handle for a pointer to it */
    const void *state;
} handle_t;

typedef struct {
    H5FD_t base; /* must be first: HDF5 casts */
    handle_t handle;
    haddr_t end_of_allocation;
    bool writable;
} transaction_t;

static callbacks_t callbacks;

static hid_t driver_id = H5I_INVALID_HID;

static H5FD_t *transaction_open(const char *name, unsigned flags, hid_t access, haddr_t maxaddr)
{
    (void)maxaddr;
    bool writable = (flags & H5F_ACC_RDWR) != 0;
    /* The files behind external links and virtual datasets come with the state of the file that refers to
     * them. */
    const void *const *access_state = H5Pget_driver_info(access);
    const void *state = callbacks.open(access_state == NULL ? NULL : *access_state, name, writable);
    if (state == NULL)
        return NULL;
    transaction_t *file = calloc(1, sizeof *file);
    if (file == NULL) {
        callbacks.close(state);
        return NULL;
    }
    file->handle.state = state;
    file->handle.descriptor = callbacks.descriptor(state);
    file->writable = writable;
    return &file->base;
}

static herr_t transaction_close(H5FD_t *base)
{
    transaction_t *file = (transaction_t *)base;
    callbacks.close(file->handle.state);
    free(file);
    return 0;
}

static int transaction_cmp(const H5FD_t *a, const H5FD_t *b)
{
    return callbacks.compare(((const transaction_t *)a)->handle.state, ((const transaction_t *)b)->handle.state);
}

/* What the files that this one refers to are opened with; HDF5 frees it. */
static void *transaction_fapl_get(H5FD_t *base)
{
    const void **state = malloc(sizeof *state);
    if (state != NULL)
        *state = ((transaction_t *)base)->handle.state;
    return state;
}

static herr_t transaction_get_handle(H5FD_t *base, hid_t access, void **handle)
{
    (void)access;
    *handle = &((transaction_t *)base)->handle;
    return 0;
}

/* A transaction may run while results are written past HDF5, so HDF5 must write nothing but what
 * it was asked to: no accumulated metadata and no data sieve, both of which write back
 * neighbouring bytes as they were when they were read. */
static herr_t transaction_query(const H5FD_t *base, unsigned long *flags)
{
    /* HDF5 also asks without a file, for what the driver can do at most. */
    const transaction_t *file = (const transaction_t *)base;
    if (flags == NULL)
        return 0;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA;
    if (file == NULL || !file->writable)
        *flags |= H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE;
    /* Then HDF5 also looks for what a file refers to beside the file that a symbolic link leads to. */
    if (file != NULL && !file->writable && file->handle.descriptor >= 0)
        *flags |= H5FD_FEAT_POSIX_COMPAT_HANDLE;
#ifdef H5FD_FEAT_DEFAULT_VFD_COMPATIBLE
    *flags |= H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
#endif
    return 0;
}

static haddr_t transaction_get_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const transaction_t *)base)->end_of_allocation;
}

static herr_t transaction_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    transaction_t *file = (transaction_t *)base;
    file->end_of_allocation = address;
    callbacks.set_end_of_allocation(file->handle.state, address);
    return 0;
}

static haddr_t transaction_get_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return callbacks.end_of_file(((const transaction_t *)base)->handle.state);
}

static herr_t transaction_read(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size,
                               void *buffer)
{
    (void)type;
    (void)transfer;
    int error = callbacks.read(((transaction_t *)base)->handle.state, address, size, buffer);
    if (error == 0)
        return 0;
    /* The innermost frame of HDF5's error stack is the one that people get to see. */
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_IO, H5E_READERROR, "%s",
             strerror(error));
    return -1;
}

static herr_t transaction_write(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size,
                                const void *buffer)
{
    (void)type;
    (void)transfer;
    callbacks.write(((transaction_t *)base)->handle.state, address, size, buffer);
    return 0;
}

/* The file is extended or cut when the transaction commits, never before. */
static herr_t transaction_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    (void)file;
    (void)transfer;
    (void)closing;
    return 0;
}

/* Registers the driver once; returns its id, negative on failure. */
hid_t pixelmill_register_driver(const callbacks_t *rust)
{
    static H5FD_class_t class;
    static const H5FD_mem_t free_lists[H5FD_MEM_NTYPES] = H5FD_FLMAP_DICHOTOMY;
    if (driver_id >= 0)
        return driver_id;
    callbacks = *rust;
    memset(&class, 0, sizeof class);
#if H5_VERSION_GE(1, 13, 0)
    class.version = H5FD_CLASS_VERSION;
    class.value = 612; /* from the range that HDF5 leaves to unregistered drivers, 512 to 65535 */
#endif
    class.name = "pixelmill_transaction";
    class.maxaddr = (haddr_t)INT64_MAX;
    class.fc_degree = H5F_CLOSE_STRONG;
    class.fapl_size = sizeof(void *);
    class.fapl_get = transaction_fapl_get;
    class.open = transaction_open;
    class.close = transaction_close;
    class.cmp = transaction_cmp;
    class.get_handle = transaction_get_handle;
    class.query = transaction_query;
    class.get_eoa = transaction_get_eoa;
    class.set_eoa = transaction_set_eoa;
    class.get_eof = transaction_get_eof;
    class.read = transaction_read;
    class.write = transaction_write;
    class.truncate = transaction_truncate;
    memcpy(class.fl_map, free_lists, sizeof free_lists);
    driver_id = H5FDregister(&class);
    return driver_id;
}
