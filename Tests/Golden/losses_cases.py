"""The cases of losses.py: for each, a configuration of Tutti, a table, its columns, and how the run is made.

clip: max_grad_norm is 0.6 of the first norm. push: factor on the learning rate. Everything else is an argument of the
trainer.
"""
CASES = {}
WIDE = 20  # width of the teacher where a projection is learned


# The rates that the rule gives make these noisy (float32 noise grows from step to step) or small (rounding shows).
SLOWER = {
    "gist", "gist-relative", "gist-no-anchors", "cached-gist", "contrastive-tension-in-batch", "matryoshka-cached",
    "contrastive-tension-in-batch-dot", "orthogonal", "sum", "mnrl-joint", "mnrl-hardness-in-batch-negatives",
    "mnrl-hardness-hard-negatives", "mnrl-hardness-all-negatives", "triplet-cosine", "cosine-similarity",
    "cosine-similarity-bce",
}
FASTER = {
    "cosent", "cosent-dot", "angle", "angle-tuples", "distill-kl", "distill-kl-cosine", "margin-mse",
    "margin-mse-lists", "matryoshka-cosent", "softmax-difference", "softmax-product", "batch-all-triplet-cosine",
    "batch-hard-triplet-cosine", "batch-hard-triplet-euclidean", "batch-hard-soft-margin-triplet-euclidean",
    "embed-distill-cosine-projection",
}
PUSHES = {name: 0.5 for name in SLOWER} | {name: 2 for name in FASTER} | {"matryoshka-gist": 0.3, "denoising-untied": 3}


def case(name, loss, data, columns, clip=False, labelled=True, **args):
    assert name not in CASES
    CASES[name] = dict(loss={"name": loss} if isinstance(loss, str) else loss, data=data, columns=columns.split(),
                       clip=clip, push=PUSHES.get(name, 1), labelled=labelled, args=args)


def mnrl(**options):
    return dict(name="MultipleNegativesRankingLoss", **options)


PAIR, TRIPLET, QUAD = "anchor positive", "anchor positive negative_1", "anchor positive negative_1 negative_2"
TWO = "sentence1 sentence2"
FOUR = ["query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc"]
CACHED = dict(name="CachedMultipleNegativesRankingLoss", mini_batch_size=3)

case("mnrl", mnrl(), "quads", TRIPLET)
case("mnrl-pairs", mnrl(scale=30.0), "quads", PAIR, clip=True)
case("mnrl-dot", mnrl(scale=1.0, similarity_fct="dot_score"), "quads", QUAD, clip=True)
case("mnrl-euclidean", mnrl(scale=2.0, similarity_fct="euclidean_sim"), "quads", TRIPLET)
case("mnrl-manhattan", mnrl(scale=0.5, similarity_fct="manhattan_sim"), "quads", TRIPLET)
case("mnrl-joint", mnrl(scale=10.0, directions=FOUR), "quads", QUAD)
case("mnrl-per-direction", mnrl(scale=15.0, directions=["query_to_doc", "doc_to_query"],
                                partition_mode="per_direction"), "quads", TRIPLET, clip=True)
for mode in ["in_batch_negatives", "hard_negatives", "all_negatives"]:
    case("mnrl-hardness-" + mode.replace("_", "-"), mnrl(scale=12.0, hardness_mode=mode, hardness_strength=7.0),
         "quads", QUAD)
case("mnrl-joint-hardness-dot", mnrl(scale=0.7, similarity_fct="dot_score", directions=["query_to_doc", "doc_to_doc"],
                                     hardness_mode="all_negatives", hardness_strength=0.3), "quads", QUAD)
case("mnsrl", dict(name="MultipleNegativesSymmetricRankingLoss", scale=15.0), "quads", TRIPLET)
case("mnsrl-dot", dict(name="MultipleNegativesSymmetricRankingLoss", scale=0.6, similarity_fct="dot_score"), "quads",
     PAIR, clip=True)
case("cached-mnrl", CACHED | dict(scale=25.0, directions=FOUR, hardness_mode="hard_negatives", hardness_strength=4.0),
     "quads", QUAD, clip=True)
case("cached-mnsrl", dict(name="CachedMultipleNegativesSymmetricRankingLoss", scale=15.0, mini_batch_size=3), "quads",
     TRIPLET)

GIST = dict(name="GISTEmbedLoss", guide="guide")
case("gist", GIST | dict(temperature=0.08), "quads", TRIPLET)
case("gist-absolute", GIST | dict(temperature=0.05, margin_strategy="absolute", margin=0.1),
     "quads", TRIPLET, clip=True)
case("gist-relative", GIST | dict(temperature=0.1, margin_strategy="relative", margin=0.15), "quads", PAIR)
case("gist-no-anchors", GIST | dict(temperature=0.06, contrast_anchors=False), "quads", TRIPLET)
case("gist-no-positives", GIST | dict(temperature=0.06, contrast_positives=False, margin=-0.05),
     "quads", PAIR, clip=True)
case("cached-gist", dict(name="CachedGISTEmbedLoss", guide="guide", temperature=0.07, margin_strategy="relative",
                         margin=0.05, mini_batch_size=3), "quads", QUAD)
case("cached-gist-plain", dict(name="CachedGISTEmbedLoss", guide="guide", temperature=0.05, contrast_anchors=False,
                               contrast_positives=False, margin=0.02, mini_batch_size=3), "quads", QUAD, clip=True)

MEGA = dict(name="MegaBatchMarginLoss", positive_margin=0.95, negative_margin=0.1)
case("mega-batch-margin", MEGA | dict(use_mini_batched_version=False), "quads", PAIR)
case("mega-batch-margin-cached", MEGA | dict(use_mini_batched_version=True, mini_batch_size=3),
     "quads", PAIR, clip=True)

SOFTMAX = dict(name="SoftmaxLoss", num_labels=3)
case("softmax", SOFTMAX, "classes", TWO, clip=True)
case("softmax-all", SOFTMAX | dict(concatenation_sent_multiplication=True), "classes", TWO, clip=True)
case("softmax-difference", SOFTMAX | dict(concatenation_sent_rep=False), "classes", TWO,
     per_device_train_batch_size=4, gradient_accumulation_steps=2)
case("softmax-product", SOFTMAX | dict(concatenation_sent_difference=False, concatenation_sent_multiplication=True),
     "classes", TWO)

for metric, margin in [("COSINE_DISTANCE", 0.7), ("EUCLIDEAN", 4.0), ("MANHATTAN", 12.0)]:
    suffix = metric.split("_")[0].lower()
    case("contrastive-" + suffix, dict(name="ContrastiveLoss", distance_metric=metric, margin=margin,
                                       size_average=metric != "EUCLIDEAN"), "binary", TWO, clip=metric == "EUCLIDEAN")
    case("online-contrastive-" + suffix, dict(name="OnlineContrastiveLoss", distance_metric=metric, margin=margin),
         "binary", TWO, clip=metric == "MANHATTAN")

case("cosine-similarity", "CosineSimilarityLoss", "similar", TWO)
case("cosine-similarity-l1", dict(name="CosineSimilarityLoss", loss_fct="L1"), "similar", TWO, clip=True)
case("cosine-similarity-bce", dict(name="CosineSimilarityLoss", loss_fct="BCE", cos_score_transformation="Sigmoid"),
     "similar", TWO)

case("cosent", dict(name="CoSENTLoss", scale=15.0), "similar", TWO, clip=True)
case("cosent-dot", dict(name="CoSENTLoss", scale=0.5, similarity_fct="pairwise_dot_score"), "similar", TWO)
case("cosent-euclidean", dict(name="CoSENTLoss", scale=2.0, similarity_fct="pairwise_euclidean_sim"), "similar", TWO)
case("cosent-manhattan", dict(name="CoSENTLoss", scale=0.6, similarity_fct="pairwise_manhattan_sim"), "similar", TWO)
case("angle", dict(name="AnglELoss", scale=10.0), "similar", TWO)
case("angle-tuples", dict(name="AnglELoss", scale=12.0), "quads", QUAD, clip=True)
case("angle-tuples-labels", dict(name="AnglELoss", scale=8.0), "scored-quads", TRIPLET)

for metric, margin in [("COSINE", 0.6), ("EUCLIDEAN", 3.0), ("MANHATTAN", 9.0)]:
    case("triplet-" + metric.lower(), dict(name="TripletLoss", distance_metric=metric, triplet_margin=margin), "quads",
         TRIPLET, clip=metric == "EUCLIDEAN")

for kind in ["BatchAll", "BatchHard", "BatchHardSoftMargin", "BatchSemiHard"]:
    for metric, margin in [("euclidean_distance", 2.5), ("cosine_distance", 0.4)]:
        options = dict(name=kind + "TripletLoss", distance_metric=metric)
        if kind != "BatchHardSoftMargin":
            options["margin"] = margin
        dashed = "".join("-" + c.lower() if c.isupper() else c for c in kind)[1:]
        case(f"{dashed}-triplet-{metric.split('_')[0]}", options, "groups", "sentence",
             clip=metric == "cosine_distance")

case("mse", "MSELoss", "teacher", "sentence1", clip=True)
case("mse-columns", "MSELoss", "teacher", TWO)
case("mse-projection", dict(name="MSELoss", projection_dim=WIDE), "teacher-wide", TWO, clip=True)
case("margin-mse", "MarginMSELoss", "margins", TRIPLET, clip=True)
case("margin-mse-lists", dict(name="MarginMSELoss", similarity_fct="pairwise_cos_sim"), "margin-lists", QUAD)
case("margin-mse-scores", dict(name="MarginMSELoss", similarity_fct="pairwise_euclidean_sim"), "scores", QUAD)
case("distill-kl", dict(name="DistillKLDivLoss", student_temperature=3.0, teacher_temperature=1.5), "scores", QUAD)
case("distill-kl-cosine", dict(name="DistillKLDivLoss", similarity_fct="pairwise_cos_sim", temperature=0.4), "scores",
     QUAD, clip=True)
DISTILL = dict(name="EmbedDistillLoss")
case("embed-distill", DISTILL, "teacher", "sentence1")
case("embed-distill-l2", DISTILL | dict(distance_metric="l2", projection_dim=WIDE), "teacher-wide", TWO, clip=True)
case("embed-distill-columns", DISTILL | dict(distance_metric="mse"), "teacher-columns", TWO)
case("embed-distill-cosine-projection", DISTILL | dict(distance_metric="cosine", projection_dim=WIDE), "teacher-wide",
     "sentence1")

case("contrastive-tension", "ContrastiveTensionLoss", "tension", TWO, clip=True)
case("contrastive-tension-unlabelled", "ContrastiveTensionLoss", "tension", TWO, labelled=False)
case("contrastive-tension-in-batch", dict(name="ContrastiveTensionLossInBatchNegatives", scale=8.0), "quads", "anchor",
     clip=True)
case("contrastive-tension-in-batch-dot", dict(name="ContrastiveTensionLossInBatchNegatives", scale=0.3,
                                              similarity_fct="dot_score"), "quads", "anchor")
case("denoising-tied", dict(name="DenoisingAutoEncoderLoss", tie_encoder_decoder=True), "denoise", "damaged original",
     clip=True)
case("denoising-untied", dict(name="DenoisingAutoEncoderLoss", tie_encoder_decoder=False,
                              decoder_name_or_path="decoder"), "denoise", "damaged original")

MATRYOSHKA = dict(name="MatryoshkaLoss", matryoshka_dims=[4, 16, 8], matryoshka_weights=[0.5, 1.0, 0.7])
COSENT = dict(name="CoSENTLoss", scale=10.0)
TRIPLET_LOSS = dict(name="TripletLoss", distance_metric="EUCLIDEAN", triplet_margin=0.9)
case("matryoshka-mnrl", MATRYOSHKA | dict(loss=mnrl(scale=12.0)), "quads", TRIPLET, clip=True)
case("matryoshka-cosent", MATRYOSHKA | dict(loss=COSENT), "similar", TWO)
case("matryoshka-mse", dict(name="MatryoshkaLoss", matryoshka_dims=[16, 6], loss={"name": "MSELoss"}), "teacher", TWO)
case("matryoshka-cached", MATRYOSHKA | dict(loss=CACHED | dict(scale=12.0)), "quads", TRIPLET)
case("matryoshka-triplet", MATRYOSHKA | dict(loss=TRIPLET_LOSS), "quads", TRIPLET, clip=True)
case("matryoshka-gist", dict(name="MatryoshkaLoss", matryoshka_dims=[12, 5], loss=GIST | dict(temperature=0.1)),
     "quads", TRIPLET)

ADAPTIVE = dict(name="AdaptiveLayerLoss", n_layers_per_step=-1, last_layer_weight=1.5, prior_layers_weight=0.8,
                kl_div_weight=0.6, kl_temperature=0.5)
case("adaptive-layer-uniform", ADAPTIVE | dict(loss=mnrl(scale=12.0)), "quads", TRIPLET)
case("adaptive-layer-log", ADAPTIVE | dict(layer_weighting="log", loss=COSENT), "similar", TWO, clip=True)
case("adaptive-layer-linear", ADAPTIVE | dict(layer_weighting="linear", kl_temperature=0.0, loss=TRIPLET_LOSS), "quads",
     TRIPLET)
case("adaptive-layer-softmax", ADAPTIVE | dict(kl_temperature=0.3, loss=SOFTMAX), "classes", TWO, clip=True)
TWO_D = dict(name="Matryoshka2dLoss", matryoshka_dims=[16, 8, 4], n_layers_per_step=-1, n_dims_per_step=-1)
case("matryoshka-2d", TWO_D | dict(matryoshka_weights=[1.0, 0.6, 0.3], last_layer_weight=0.9, prior_layers_weight=0.7,
                                   kl_div_weight=0.4, kl_temperature=0.6, loss=mnrl(scale=8.0)), "quads", TRIPLET)
case("matryoshka-2d-cosent", TWO_D | dict(loss=COSENT), "similar", TWO, clip=True)

GOR = dict(name="GlobalOrthogonalRegularizationLoss", mean_weight=1.7, second_moment_weight=0.6)
case("orthogonal", GOR, "quads", PAIR)
case("orthogonal-sum", GOR | dict(aggregation="sum"), "quads", TRIPLET, clip=True)
case("orthogonal-dot", GOR | dict(mean_weight=0, similarity_fct="dot_score"), "quads", PAIR, clip=True)
case("sum", dict(name="Sum", losses=[mnrl(scale=12.0), GOR | dict(aggregation="sum")]), "quads", PAIR)
