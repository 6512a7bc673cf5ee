# scripts/slurm/job.sbatch as C: a string a line.
s/[\\"]/\\&/g
s/.*/    "&",/
1i extern const char *const slurm_template[];\nconst char *const slurm_template[] = {
$a\    (void *)0};
