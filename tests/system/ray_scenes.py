"""What `test_ray.py` looks at, on a cluster in a process of its own. Prints one line of JSON.

python tests/system/ray_scenes.py FOLDER
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa

from bench.peers.fake_model import fake_model
from bench.ray_cluster import local_ray
from crisis_filter.batch.arrow import BlockSpec
from crisis_filter.batch.lease_thread import broker_beside
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.batch.ray import RayJudge, judge_dataset
from crisis_filter.pipeline.description import FilterSpec

WORDS = "quinces in the larder"
KEY = "sk-a-key-that-nobody-may-see"
SLOTS = 32


def table(count, text="text"):
    return pa.table({"id": [f"{n}" for n in range(count)], text: [f"there are {n} {WORDS}" for n in range(count)]})


def failing(act):
    """What an error says; Ray puts its causes into its words."""
    try:
        act()
    except Exception as error:  # noqa: BLE001  # whatever Ray makes of it
        return str(error)
    return "nothing was raised"


def alone(ray, spec, server):
    """`RayJudge` as a user may call it, one actor, blocks of eight rows: its slots are full all the same."""
    server.reset()
    found = ray.data.from_arrow(table(200)).map_batches(
        RayJudge,
        fn_constructor_kwargs={"spec": spec},
        batch_format="pyarrow",
        batch_size=8,
        compute=ray.data.ActorPoolStrategy(size=1),
        num_cpus=0.5,
    )
    ids = Counter(row["id"] for row in found.take_all())
    return {"rows": ids.total(), "different": len(ids), "peak": server.stats()["peak"]}


def together(ray, spec, server):
    """Two actors and a block that is one: both work, and the columns are there."""
    server.reset()
    found = judge_dataset(ray.data.from_arrow(table(2000)), spec, workers=2, rows=100, num_cpus=0.5).materialize()
    rows = found.take_all()
    return {
        "rows": len(rows),
        "different": len({row["id"] for row in rows}),
        "outcomes": Counter(row["outcome"] for row in rows),
        "peak": server.stats()["peak"],
        "columns": found.schema().names,
    }


def scenes(folder):
    with fake_model(latency=200) as server, broker_beside(Limits(requests_per_minute=600_000)) as broker:
        judging = FilterSpec(backend="openai:fake-1", base_url=server.base_url, api_key=KEY, fallbacks=(), attempts=1)
        spec = BlockSpec(judging=judging, slots=SLOTS, broker=broker)
        gone = spec.model_copy(
            update={"judging": judging.model_copy(update={"base_url": "http://127.0.0.1:9/v1"}), "patience": 10}
        )
        odd = spec.model_copy(update={"judging": FilterSpec(policy="nowhere-v9"), "broker": None})
        with local_ray(folder=str(folder)) as ray:
            ray.data.DataContext.get_current().actor_init_retry_on_errors = False

            def run(rows, how):
                return judge_dataset(ray.data.from_arrow(rows), how, workers=1, num_cpus=0.5).take_all()

            told = {
                "alone": alone(ray, spec, server),
                "together": together(ray, spec, server),
                "no text": failing(lambda: run(table(10, "words"), spec)),
                "gone": failing(lambda: run(table(300), gone)),
                "odd": failing(lambda: run(table(10), odd)),
            }
            time.sleep(1)
        secrets = (WORDS, KEY, broker.token.get_secret_value())
        logs = [file.read_bytes() for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
        told["logs"] = len(logs)
        told["secrets in logs"] = [secret for secret in secrets if any(secret.encode() in log for log in logs)]
        told["secrets in errors"] = [secret for secret in secrets if secret in json.dumps(told)]
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(scenes(Path(sys.argv[1]))) + "\n")
