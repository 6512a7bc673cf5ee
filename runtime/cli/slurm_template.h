/* scripts/slurm/job.sbatch, which the build turns into C: the program stands alone when installed.
 */
#ifndef DS_SLURM_TEMPLATE_H
#define DS_SLURM_TEMPLATE_H

/* The lines without their ends, NULL after the last. @WORD@ stands for a value of cmd_slurm.c. */
extern const char *const slurm_template[];

#endif
