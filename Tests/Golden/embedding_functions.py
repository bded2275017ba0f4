"""What semantic_search, paraphrase_mining_embeddings and community_detection find in fixed embeddings, for EvaluationTests.

Pinned: sentence-transformers 6.2.0, torch 2.15.0 (Python 3.11).
Run:    python Tests/Golden/embedding_functions.py     (writes Tests/Golden/evaluation/functions.json, 20 KB)
Embeddings are drawn around a few centres, so that communities overlap; scores do not tie.
"""
import json
import os
import sys

sys.path.pop(0)  # scripts of this folder are named as packages are

import torch
from sentence_transformers import util

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "evaluation", "functions.json")

generator = torch.Generator().manual_seed(7)
centres = torch.randn(5, 6, generator=generator)
rows = torch.cat([centre + 0.35 * torch.randn(count, 6, generator=generator)
                  for centre, count in zip(centres, (14, 9, 6, 5, 3))])
rows = torch.round(rows * 1000) / 1000
queries = torch.round((centres + 0.3 * torch.randn(5, 6, generator=generator)) * 1000) / 1000

out = {"rows": rows.double().mul(1000).round().div(1000).tolist(),
       "queries": queries.double().mul(1000).round().div(1000).tolist(), "communities": [], "searches": {}}
for threshold, size in ((0.75, 5), (0.9, 3), (0.95, 2), (0.6, 10), (0.999, 2)):
    found = util.community_detection(rows, threshold=threshold, min_community_size=size, batch_size=16)
    out["communities"].append({"threshold": threshold, "size": size, "found": found})
for name, function in (("cosine", util.cos_sim), ("dot", util.dot_score)):
    out["searches"][name] = util.semantic_search(queries, rows, top_k=4, score_function=function)
out["pairs"] = util.paraphrase_mining_embeddings(rows, top_k=3, max_pairs=20)
with open(OUT, "w") as file:
    json.dump(out, file)
    file.write("\n")
