#!/bin/sh
# Runs in the environment of every task before it does: note which GPU the task sees.
echo "$SLURM_JOB_ID $SLURMD_NODENAME GPU=${CUDA_VISIBLE_DEVICES-none}" >>/var/spool/rotvar-slurm/began
