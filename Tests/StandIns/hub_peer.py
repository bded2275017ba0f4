#!/usr/bin/env python3
"""What huggingface_hub does with a stand-in for the hub, to be compared: hub_peer.py ACTION ID [FOLDER]

file ID NAME     downloads one file            offline ID      the cached snapshot, without a request
model ID         a model, as a whole           push ID FOLDER  a folder becomes a commit
The environment names endpoint, cache and token. Prints the path, or the address of the commit.
"""
import os, sys

os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

action, name, *rest = sys.argv[1:]
if action == "file":
    print(hf_hub_download(name, rest[0]))
elif action == "model":
    print(snapshot_download(name))
elif action == "offline":
    print(snapshot_download(name, local_files_only=True))
elif action == "push":
    api = HfApi()
    api.create_repo(name, exist_ok=True)
    print(api.upload_folder(repo_id=name, folder_path=rest[0], commit_message="Add it"))
