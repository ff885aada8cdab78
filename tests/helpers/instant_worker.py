"""A worker of a batch that works on nothing and says who it is: its process, threads and GPU, in place of an error.

`select` takes longer than `generate` for objects whose last word is `--seed=1`.
"""

import json
import os
import sys
import time

from meshcli.batch.tasks import StageResult
from meshcli.batch.worker_process import read_task, write_answer

PEAKS = {"generate": 300, "reconstruct": 400}  # MB
SLOWER = {"generate": 0.03, "select": 0.07}  # seconds
seen: list[str] = []

for line in sys.stdin:
    item, stage = read_task(json.loads(line))
    if item.name.startswith("dies"):
        os._exit(3)
    time.sleep(SLOWER.get(stage, 0.01) if item.words[-1:] == ("--seed=1",) else 0.01)
    who = f"{os.getpid()} {os.environ['OMP_NUM_THREADS']} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}"
    result = StageResult(item.name, stage, 0, 0.01, PEAKS.get(stage, 100) * 2**20, who)
    if item.name == "locked once" and not seen:
        seen.append(item.name)
        result = StageResult(item.name, stage, 5, locked=True)
    if item.name == "no room":
        result = StageResult(item.name, stage, 75, error="the disk is full", disk_full=True)
    sys.stdout.write(json.dumps(write_answer(result, 0)) + "\n")
    sys.stdout.flush()
