"""redis-py's Lock: one task, one call after the other, on 100 rotating keys."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import redis  # noqa: E402

job = json.loads(sys.stdin.readline())
client = redis.Redis(port=job["port"])


def cycle(number):
    lock = client.lock(f"bench:{number % 100}", timeout=10)
    assert lock.acquire(blocking=False)
    lock.release()


for number in range(500):
    cycle(number)
print('"ready"', flush=True)
sys.stdin.readline()
samples, start, used = [], time.monotonic_ns(), time.process_time_ns()
for number in range(job["cycles"]):
    before = time.monotonic_ns()
    cycle(number)
    samples.append((time.monotonic_ns() - before) / 1e3)
outcome = {
    "samples": samples,
    "bodies": [],
    "count": len(samples),
    "wall": time.monotonic_ns() - start,
    "processor": time.process_time_ns() - used,
    "violations": 0,
    "late": 0,
}
print(json.dumps(outcome), flush=True)
