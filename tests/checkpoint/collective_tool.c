/* collective_tool FILE ROWS TIMES: the yardstick of README's figures. Two datasets of ROWS x 1000
 * float32 by collective parallel HDF5, closed and synced; prints the least and the median time. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <hdf5.h>
#include <mpi.h>

enum { COLUMNS = 1000, MOST = 100 };

static void write_one(hid_t file, const char *name, hsize_t rows, const float *x)
{
    int rank, size;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const hsize_t all[2] = {rows, COLUMNS}, lo = rows * (hsize_t)rank / (hsize_t)size;
    const hsize_t start[2] = {lo, 0};
    const hsize_t count[2] = {rows * (hsize_t)(rank + 1) / (hsize_t)size - lo, COLUMNS};
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE), transfer = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_fill_time(plan, H5D_FILL_TIME_NEVER);
    H5Pset_dxpl_mpio(transfer, H5FD_MPIO_COLLECTIVE);
    hid_t space = H5Screate_simple(2, all, NULL), memory = H5Screate_simple(2, count, NULL);
    hid_t set = H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, plan, H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    if (H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, transfer, x) < 0)
        MPI_Abort(MPI_COMM_WORLD, 1);
    H5Dclose(set);
    H5Sclose(memory);
    H5Sclose(space);
    H5Pclose(transfer);
    H5Pclose(plan);
}

static double write_file(const char *path, hsize_t rows, const float *x)
{
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime();
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    write_one(file, "a", rows, x);
    write_one(file, "b", rows, x);
    H5Fclose(file);
    H5Pclose(access);
    int fd = open(path, O_RDWR);
    if (fd < 0 || fsync(fd) != 0)
        MPI_Abort(MPI_COMM_WORLD, 1);
    close(fd);
    MPI_Barrier(MPI_COMM_WORLD);
    return MPI_Wtime() - begin;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    size_t rows = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;
    int times = argc > 3 ? atoi(argv[3]) : 0;
    float *x = calloc(rows * COLUMNS + 1, sizeof *x);
    if (rows == 0 || times < 1 || times > MOST || x == NULL)
        MPI_Abort(MPI_COMM_WORLD, 2);
    double seconds[MOST];
    for (size_t i = 0; i < rows * COLUMNS; i++)
        x[i] = (float)(i % 1009);
    for (int k = 0; k < times; k++) {
        if (rank == 0)
            unlink(argv[1]);
        seconds[k] = write_file(argv[1], rows, x);
    }
    qsort(seconds, (size_t)times, sizeof *seconds, by_value);
    if (rank == 0)
        printf("%s least %.4f s, median %.4f s of %d\n", argv[1], seconds[0], seconds[times / 2],
               times);
    free(x);
    MPI_Finalize();
    return 0;
}
