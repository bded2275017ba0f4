"""Goldens of the losses: values and gradients of the reference in float64.

Pinned: sentence-transformers 6.2.0, torch 2.15.0, numpy 2.4.6. Run from anywhere:

    python Tests/Golden/objectives.py

Writes Tests/Golden/objectives/multiple_negatives_ranking.jsonl, one case a line: the embeddings column after column
(numbers that fp32 holds exactly), the loss and its gradient by them.
"""

import json
from pathlib import Path

import numpy as np
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim, dot_score

FOLDER = Path(__file__).parent / "objectives"
FUNCTIONS = {"cos_sim": cos_sim, "dot_score": dot_score}


def embeddings(rows: int, columns: int, width: int, seed: int, factor: float) -> np.ndarray:
    """Rows of one item resemble each other; every number is a float32."""
    random = np.random.default_rng(seed)
    items = random.normal(size=(rows, width))
    own = random.normal(size=(columns, rows, width))
    return (factor * (items[None] + own)).astype(np.float32).astype(np.float64)


def case(name: str, values: np.ndarray, similarity: str, scale: float) -> dict:
    columns, rows, width = values.shape
    tensors = [torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in values]
    loss = MultipleNegativesRankingLoss(model=torch.nn.Identity(), scale=scale, similarity_fct=FUNCTIONS[similarity])
    value = loss.compute_loss_from_embeddings(tensors, None)
    value.backward()
    gradient = np.stack([tensor.grad.numpy() for tensor in tensors])
    return {
        "name": name, "rows": rows, "columns": columns, "width": width, "similarity_fct": similarity, "scale": scale,
        "embeddings": [float(f"{x:.9g}") for x in values.ravel()], "loss": float(value.item()),
        "gradient": [float(f"{x:.12g}") for x in gradient.ravel()],
    }


def main() -> None:
    torch.set_num_threads(1)
    cases = []
    for similarity, scale in [("cos_sim", 20.0), ("dot_score", 1.0)]:
        for columns in [2, 3, 6]:
            for rows in [1, 4, 11]:
                seed = 1000 * columns + rows
                values = embeddings(rows, columns, 8, seed, 1.0 if similarity == "cos_sim" else 0.5)
                cases.append(case(f"{similarity}-{columns}-{rows}", values, similarity, scale))
    zero = embeddings(5, 3, 8, 7, 1.0)
    zero[0, 2] = 0  # an anchor and a negative of length zero
    zero[2, 4] = 0
    cases.append(case("zero vectors", zero, "cos_sim", 20.0))
    cases.append(case("cold", embeddings(6, 3, 8, 8, 1.0), "cos_sim", 500.0))
    cases.append(case("large scores", embeddings(6, 3, 8, 9, 20.0), "dot_score", 1.0))
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / "multiple_negatives_ranking.jsonl", "w") as file:
        for line in cases:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
