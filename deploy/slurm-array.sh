#!/bin/sh
# Encode folders of a shared disk, one a task of a Slurm array: folders.txt has a folder a line.
#
#     sbatch --array=1-$(wc -l < folders.txt) deploy/slurm-array.sh /data/photos /data/small
#
# A task that a node lost is queued again and goes on with --update.
#SBATCH --job-name=aecodec
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --output=aecodec-%A_%a.log
set -eu
folder=$(sed -n "${SLURM_ARRAY_TASK_ID}p" folders.txt)
mkdir -p "$2/$folder"
exec aecodec encode -r --update -j "$SLURM_CPUS_PER_TASK" --manifest "$2/$folder/manifest.jsonl" \
    --output-dir "$2/$folder" "$1/$folder"
