#!/usr/bin/env bash
# mpiexec with a folder of its own for Open MPI's files. The usual one is shared, the last mpiexec to end removes it, and one that
# begins at that instant fails ("mkdir ... File exists").
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
OMPI_MCA_orte_tmpdir_base=$folder mpiexec "$@"
