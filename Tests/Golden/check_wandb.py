"""Reads a run file with wandb's own reader (0.19.11): 400 lines of training, one evaluation, one closing line, each once.

    check_wandb.py FILE
"""
import json
import sys

from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore

store = DataStore()
store.open_for_scan(sys.argv[1])
records = []
while (data := store.scan_data()) is not None:
    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    records.append(record)
kinds = [record.WhichOneof("record_type") for record in records]
assert [record.num for record in records] == list(range(1, len(records) + 1))
assert kinds[:2] == ["header", "run"] and kinds[-2:] == ["exit", "footer"], kinds
assert set(kinds[2:-2]) == {"history", "summary"}, set(kinds)

run = records[1].run
assert (run.project, run.display_name, list(run.tags)) == ("mine", "first", ["a", "b"]), run
assert run.start_time.seconds > 0 and len(run.run_id) == 8 and run.run_id in sys.argv[1]
config = {item.key: json.loads(item.value_json) for item in run.config.update}
assert config["learning_rate"] == 0.1 and config["lists"] == [1] and config["model/config"] == {"model_type": "bert"}, config

lines = [(record.history.step.num, {item.key: json.loads(item.value_json) for item in record.history.item})
         for record in records if record.WhichOneof("record_type") == "history"]
assert [step for step, _ in lines] == [line["_step"] for _, line in lines] == list(range(402)), len(lines)
assert [line["train/global_step"] for _, line in lines] == list(range(1, 401)) + [400, 400]
assert all(line["train/loss"] == 0.25 for _, line in lines[:400])
assert lines[400][1]["eval/dev_accuracy"] == 0.75 and "train/train_runtime" in lines[401][1]
summary = {}
for record in records:
    summary.update({item.key: json.loads(item.value_json) for item in record.summary.update})
assert summary["eval/dev_accuracy"] == 0.75 and summary["train/global_step"] == 400, summary
