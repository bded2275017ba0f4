"""Reads the event files of a folder with TensorBoard itself and compares them with expected.json beside it.

    check_tensorboard.py FOLDER

expected.json: scalars {tag: [[step, value], ...]}, histograms {tag: [min, max, num, sum, sum_squares]}, texts {tag: text}, hyperparameters {name: value}, metrics [tag, ...].
"""
import json
import pathlib
import sys

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import metadata

folder = pathlib.Path(sys.argv[1])
expected = json.loads((folder / "expected.json").read_text())
events = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0})
events.Reload()

scalars = {}
for tag in events.Tags()["scalars"]:
    scalars[tag] = [[event.step, event.value] for event in events.Scalars(tag)]
for tag in events.Tags()["tensors"]:
    if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
        scalars[tag] = [[event.step, event.tensor_proto.float_val[0]] for event in events.Tensors(tag)]
assert scalars == expected["scalars"], scalars

histograms = {}
for tag in events.Tags()["histograms"]:
    [event] = events.Histograms(tag)
    value = event.histogram_value
    assert sum(value.bucket) == value.num and value.bucket_limit[-1] == value.max, value
    histograms[tag] = [value.min, value.max, value.num, value.sum, value.sum_squares]
assert histograms == expected["histograms"], histograms

texts = {
    tag.removesuffix("/text_summary"): events.Tensors(tag)[-1].tensor_proto.string_val[0].decode()
    for tag in events.Tags()["tensors"] if events.SummaryMetadata(tag).plugin_data.plugin_name == "text"}
assert texts.keys() == expected["texts"].keys(), texts
for name, text in expected["texts"].items():
    assert text in texts[name], texts[name]

content = events.PluginTagToContent("hparams")
start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
found = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
assert found == expected["hyperparameters"], found
experiment = metadata.parse_experiment_plugin_data(content[metadata.EXPERIMENT_TAG])
assert sorted(info.name for info in experiment.hparam_infos) == sorted(found)
assert [info.name.tag for info in experiment.metric_infos] == expected["metrics"]
end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
assert end.status == 1 and end.end_time_secs >= start.start_time_secs > 0
