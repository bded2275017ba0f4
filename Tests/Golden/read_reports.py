"""Reads what a run reported with the packages that such files are made for, and prints every number: "step key value".

    read_reports.py tensorboard FOLDER
    read_reports.py wandb FILE           by wandb 0.19.11, the last one with a reader in Python
"""
import json
import pathlib
import sys

kind, path = sys.argv[1:]
sys.path.pop(0)  # scripts of this folder are named as packages are
if kind == "tensorboard":
    from tensorboard.backend.event_processing import event_accumulator

    for folder in sorted({file.parent for file in pathlib.Path(path).rglob("*tfevents*")}):
        events = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        for tag in events.Tags()["scalars"]:
            for event in events.Scalars(tag):
                print(event.step, tag, event.value)
        for tag in events.Tags()["tensors"]:
            if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                for event in events.Tensors(tag):
                    print(event.step, tag, event.tensor_proto.float_val[0])
else:
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(path)
    kinds = []
    while (data := store.scan_data()) is not None:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kinds.append(record.WhichOneof("record_type"))
        if kinds[-1] == "history":
            line = {item.key: json.loads(item.value_json) for item in record.history.item}
            for key, value in line.items():
                print(line["train/global_step"], key, value)
    assert kinds[:2] == ["header", "run"] and kinds[-2:] == ["exit", "footer"], kinds
    assert kinds.count("exit") == kinds.count("footer") == kinds.count("run") == 1, kinds
